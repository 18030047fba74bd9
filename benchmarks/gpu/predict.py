"""Examples a second from tokens to vectors, in bfloat16, beside transformers sorted by length."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from harness import Side, alternate
from torch import Tensor
from workload import COURSE, SAMPLE, data_folder, encoder, minilm_folder

from accord.data.examples import BadRow, read_examples
from accord.data.files import DataFiles
from accord.data.loader import Assembler
from accord.data.resolving import resolve_task
from accord.data.tokenizing import load_tokenizer, special_ids
from accord.encoders.packing import TokenSequence
from accord.evaluation.packed import packed_inputs
from accord.evaluation.pooling import encoded
from accord.kernels.matmul import choose_matmul_policy
from accord.kinds import task_section
from accord.model.multitask import MultitaskModel
from accord.plan.tasks import task_plan
from accord.tasks import Task
from gpu.figures import Figure, Recorder, ratio
from gpu.settings import Settings, clear, waited

ROWS = 22_040
PASSES = (4096, 262_144)
BATCHES = (32, 256)  # of the peer: the usual one, and one that suits a GPU


def measure(recorder: Recorder, settings: Settings) -> None:
    """Measure both encoders."""
    results: dict[str, Any] = {}
    recorder.check(
        "reading", lambda: results.update(zip(("tasks", "rows"), rows(settings), strict=True))
    )
    if not results:
        return
    recorder.details["rows"] = sum(len(row) for row in results["rows"])
    recorder.details["tokens"] = sum(len(q.input_ids) for row in results["rows"] for q in row)
    for size in ("minilm", "bert-base"):
        recorder.check(
            size, partial(compare, recorder, settings, size, results["tasks"], results["rows"])
        )


def rows(settings: Settings) -> tuple[list[Task], list[list[TokenSequence]]]:
    """Read and tokenise real rows, as many of each task as it has of all."""
    folder = data_folder(settings.data)
    files = COURSE if (folder / "ids-sst-train.csv").exists() else SAMPLE
    tokenizer = load_tokenizer(minilm_folder())
    assembler, tasks, texts = Assembler(special_ids(tokenizer), 512), [], []
    for name, (file, kind, text, label) in files.items():
        columns = text.split()
        config = task_plan(
            task_section(
                kind=kind,
                train=str(folder / file),
                on_bad_row="skip",
                label=label,
                pooling="cls",
                text=columns[0] if len(columns) == 1 else columns,
            )
        )
        task = resolve_task(name, config)
        read = read_examples(DataFiles((folder / file,)), config, task, labelled=True)
        tasks.append(task)
        texts.append([row.texts for row in read if not isinstance(row, BadRow)])
    wanted = ROWS if settings.gpu else 200
    share = min(1.0, wanted / sum(len(text) for text in texts))
    return tasks, [
        tokenised(assembler, tokenizer, text[: round(share * len(text))]) for text in texts
    ]  # fmt: skip


def tokenised(assembler: Assembler, tokenizer: Any, texts: Sequence[Any]) -> list[TokenSequence]:
    """Tokenise texts all at once, each of a pair alone, and join them."""
    from accord.data.tokenizing import encode_texts

    return [assembler.join(encode_texts(tokenizer, text)) for text in texts]


def compare(
    recorder: Recorder, settings: Settings, size: str, tasks: list[Task],
    sequences: list[list[TokenSequence]],
) -> None:  # fmt: skip
    """Time our passes and the peer's batches in turn."""
    actual, device = settings.size(size), settings.device
    model = MultitaskModel(encoder(actual), tasks).to(device).eval()
    matmul = choose_matmul_policy(device, "bfloat16")
    examples = [[[sequence] for sequence in task] for task in sequences]
    sides: dict[str, Side] = {
        f"predict {limit}": lambda _, limit=limit: encoded(
            model, packed_inputs(model, examples, matmul, limit), matmul
        )
        for limit in PASSES
    }
    try:
        peer = sorted_peer(actual, device)
        flat = [each for task in sequences for each in task]
        for batch in BATCHES:
            sides[f"sorted by {batch}"] = lambda _, batch=batch: peer(flat, batch)
    except ModuleNotFoundError as error:
        recorder.fault(f"{size}: the peer is left out, as {error.name} is missing", error)
    waiting = {name: waited(side, device) for name, side in sides.items()}
    seconds = alternate(waiting, settings.rounds(3), 1)
    count = sum(len(sequence) for sequence in sequences)
    for name, second in seconds.items():
        recorder.add(Figure(f"{actual} {name} /s", count / statistics.median(second)))
    peers = [name for name in seconds if name.startswith("sorted")]
    if peers:
        best = min(peers, key=lambda name: statistics.median(seconds[name]))
        result = ratio(
            f"{actual} predict / sorted", seconds[best], seconds[f"predict {PASSES[-1]}"]
        )
        recorder.add(
            Figure(result.name, result.value, interval=result.interval, note=f"peer: {best}")
        )
    clear(device)


def sorted_peer(size: str, device: torch.device) -> Any:
    """transformers' BertModel over batches sorted by length, padded to their longest."""
    from peers import bert, padded

    model = bert(size).eval().to(device)

    @torch.inference_mode()
    def predict(sequences: Sequence[TokenSequence], batch: int) -> Tensor:
        order = sorted(range(len(sequences)), key=lambda i: len(sequences[i].input_ids))
        vectors = torch.empty(len(sequences), model.config.hidden_size, device=device)
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            arrays = padded([sequences[i] for i in chosen])
            inputs = {name: array.to(device, non_blocking=True) for name, array in arrays.items()}
            with torch.autocast(device.type, torch.bfloat16):
                hidden = model(**inputs).last_hidden_state[:, 0]
            vectors[torch.tensor(chosen, device=device)] = hidden.float()
        return vectors

    return predict
