"""A service as one would write it around another library; benchmarks/serving.py starts it.

    python benchmarks/serving_peer.py FOLDER --encoder transformers|FILE.onnx --tasks NAME ...

One process with one encoder and the heads of some tasks. `--tokens` of padding and all make a pass:
the oldest request with those nearest to it in length that fit; 0: each request by itself. It never
waits.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import threading
from collections import deque
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
import uvicorn
from prediction import LONGEST, NAMES, Encode, quieten, with_transformers
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tokenizers import Encoding, Tokenizer
from workload import minilm_folder

from accord.data.tokenizing import load_tokenizer
from accord.evaluation.predictions import predicted_values
from accord.model.saved import load_model

Waiting = tuple[Encoding, "Future[dict[str, Any]]"]


class Service:
    """Answers texts by padded batches.

    Args:
        folder: of the model whose heads are used.
        encode: from padded ids, mask and types to the first token's vectors.
        tasks: that are answered.
        tokens: of a pass, padding included; 0: one request in a pass.
        passes: at once.
    """

    def __init__(
        self, folder: Path, encode: Encode, tasks: list[str], tokens: int, passes: int
    ) -> None:
        model, _, _ = load_model(folder)
        self.encode, self.tokens = encode, tokens
        self.heads = {task: model.heads[task.name] for task in model.tasks if task.name in tasks}
        self.tokenizer: Tokenizer = load_tokenizer(minilm_folder())
        self.tokenizer.enable_truncation(LONGEST)
        self.waiting: deque[Waiting] = deque()
        self.change = threading.Condition()
        for _ in range(passes):
            threading.Thread(target=self._work, daemon=True).start()

    async def answer(self, request: Request) -> Response:
        (text,) = json.loads(await request.body())["texts"]
        future: Future[dict[str, Any]] = Future()
        with self.change:
            self.waiting.append((self.tokenizer.encode(text), future))
            self.change.notify()
        answers = await asyncio.wrap_future(future)
        return Response(json.dumps({"answers": [answers]}), media_type="application/json")

    def _taken(self) -> list[Waiting]:
        """Take the oldest request, and those nearest to it in length that fit."""
        first = self.waiting.popleft()
        if not self.tokens:
            return [first]
        length = len(first[0].ids)
        taken, longest = [first], length
        for each in sorted(self.waiting, key=lambda one: abs(len(one[0].ids) - length)):
            longest = max(longest, len(each[0].ids))
            if (len(taken) + 1) * longest > self.tokens:
                break
            taken.append(each)
        chosen = {id(future) for _, future in taken}
        self.waiting = deque(each for each in self.waiting if id(each[1]) not in chosen)
        return taken

    @torch.inference_mode()
    def _work(self) -> None:
        while True:
            with self.change:
                self.change.wait_for(lambda: self.waiting)
                taken = self._taken()
            vectors = self.encode(_padded([encoding for encoding, _ in taken])).float()
            said = {
                task.name: predicted_values(head(vectors, None), task)
                for task, head in self.heads.items()
            }
            for i, (_, future) in enumerate(taken):
                future.set_result({name: {"answer": each[i]} for name, each in said.items()})


def _padded(encodings: list[Encoding]) -> dict[str, torch.Tensor]:
    longest = max(len(each.ids) for each in encodings)
    arrays = np.zeros((3, len(encodings), longest), dtype=np.int64)
    for i, each in enumerate(encodings):
        arrays[0, i, : len(each.ids)] = each.ids
        arrays[1, i, : len(each.ids)] = 1
        arrays[2, i, : len(each.ids)] = each.type_ids
    return dict(zip(NAMES, torch.from_numpy(arrays), strict=True))


def _with_session(file: str, threads: int) -> Encode:
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(file, settings, providers=["CPUExecutionProvider"])
    return lambda batch: torch.from_numpy(
        session.run(None, {name: value.numpy() for name, value in batch.items()})[0]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--tasks", nargs="+", required=True)
    parser.add_argument("--tokens", type=int, default=0)
    parser.add_argument("--passes", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", default="highest", help="torch's, of float32 products")
    options = parser.parse_args()
    quieten()
    torch.set_num_threads(options.threads)
    torch.set_float32_matmul_precision(options.precision)
    plain = options.encoder == "transformers"
    encode = (
        with_transformers(bfloat16=False)
        if plain
        else _with_session(options.encoder, options.threads)
    )
    service = Service(options.folder, encode, options.tasks, options.tokens, options.passes)
    app = Starlette(routes=[Route("/v1/answer", service.answer, methods=["POST"])])
    config = uvicorn.Config(app, port=0, log_config=None, access_log=False)
    server = uvicorn.Server(config)

    async def serve() -> None:
        running = asyncio.ensure_future(server.serve())
        while not server.started:
            await asyncio.sleep(0.05)
        port = server.servers[0].sockets[0].getsockname()[1]
        print(f"listening at http://127.0.0.1:{port}", flush=True)
        await running

    asyncio.run(serve())


if __name__ == "__main__":
    main()
