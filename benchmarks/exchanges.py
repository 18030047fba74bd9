"""A model exchanged again and again while clients ask for its answers."""

from __future__ import annotations

import json
import shutil
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from harness import Report, Row, progress
from services import Process


def perturb(folder: Path, seed: int) -> None:
    """Give a model other heads, so that its answers name it."""
    from safetensors.torch import load_file, save_file

    generator = torch.Generator().manual_seed(seed)
    weights = load_file(folder / "heads.safetensors")
    new = {name: torch.randn(each.shape, generator=generator) for name, each in weights.items()}
    save_file(new, folder / "heads.safetensors", {"format": "pt"})


def exchanged(process: Process, served: Path, models: list[Path], wanted: dict[Path, Any],
              report: Report) -> list[Row]:  # fmt: skip
    """Exchange models 200 times while clients ask; return what went wrong."""
    from accord.serving.models import content_hash

    by_hash = {content_hash(folder): wanted[folder] for folder in models}
    texts = [*next(iter(by_hash.values()))]
    ended, wrong, answered = threading.Event(), [], []

    def ask(number: int) -> None:
        import http.client

        i = number
        while not ended.is_set():
            several = [texts[(i + j) % len(texts)] for j in range(3)]
            i += 1
            connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=60)
            body = json.dumps({"texts": several})
            connection.request("POST", "/v1/answer", body, {"content-type": "application/json"})
            reply = connection.getresponse()
            value = json.loads(reply.read())
            connection.close()
            if reply.status != 200:
                wrong.append(value)
                continue
            answered.append(value["hash"])
            said = [{task: one["answer"] for task, one in each.items()}
                    for each in value["answers"]]  # fmt: skip
            if said != [by_hash[value["hash"]][text] for text in several]:
                wrong.append(value)

    threads = [threading.Thread(target=ask, args=(7 * i,)) for i in range(4)]
    for each in threads:
        each.start()
    before = process.mebibytes()
    for i in range(200):
        progress(f"exchange {i + 1} of 200")
        fresh = served.with_name("fresh")
        shutil.copytree(models[(i + 1) % 2], fresh)
        shutil.rmtree(served.with_name("old"), ignore_errors=True)
        served.rename(served.with_name("old"))
        fresh.rename(served)
        reload(process.port)
    progress("")
    ended.set()
    for each in threads:
        each.join()
    changes = sum(a != b for a, b in pairwise(answered))
    report.details["reloads"] = {"answers": len(answered), "changes_seen": changes}
    return [
        Row("reloads_lost_or_mixed", len(wrong), 0, "lower", note=f"of {len(answered):,} answers"),
        Row("reloads_grown_mebibytes", process.mebibytes() - before, None, "lower"),
    ]


def reload(port: int) -> None:
    """Have a service load its folders anew."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/v1/reload")
    reply = connection.getresponse()
    if reply.status != 200:
        raise SystemExit(f"not exchanged: {reply.read().decode()}")
    connection.close()
