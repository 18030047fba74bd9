"""Do the fast paths learn what the plain ones learn?

    python benchmarks/convergence.py [--steps N] [--seeds N] [--data FOLDER]

The same `accord.train` in three ways, one after the other, for several seeds: the three tasks,
MiniLM, mean pooling, the sum of the losses, one epoch, evaluated on the dev files.

fast       as it is: packed products, buckets, masks drawn by key, gradients collected in J
reference  attention sequence by sequence, torch's own layers, dropout and autograd, no J, torch's
           default products
bfloat16   fast, in mixed precision

A seed fixes heads and the order of examples in all three; dropout's draws differ. A difference is
the mean over the seeds, with the 95 % t interval of the paired differences.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from epoch import task_tables
from harness import Report, Row, arguments, progress
from scipy import stats
from torch import Tensor
from torch.nn import functional as F
from workload import data_folder, minilm_folder

import accord
from accord.kernels import attention
from accord.kernels.matmul import DEFAULT
from accord.pertask.jacobian import Jacobian

WAYS = ("fast", "reference", "bfloat16")


def plain_dropout(x: Tensor, p: float, key: object | None) -> Tensor:
    """torch's own, from its generator."""
    return F.dropout(x, p, training=key is not None)


def plain_dropout_add(x: Tensor, residual: Tensor, p: float, key: object | None) -> Tensor:
    """The same, and the residual."""
    return residual + plain_dropout(x, p, key)


@contextmanager
def plain_paths() -> Iterator[None]:
    """Put references in the fast paths' places."""
    places = {
        "accord.encoders.blocks.attend": attention.reference,
        "accord.encoders.families.bert.dropout": plain_dropout,
        "accord.encoders.blocks.dropout_add": plain_dropout_add,
        "accord.pertask.operations.dropout_add": plain_dropout_add,
        "accord.kernels.attention.formula.dropout": plain_dropout,
        "accord.training.building.Jacobian": lambda *_: Jacobian(()),  # autograd has all gradients
        "accord.training.setup.choose_matmul_policy": lambda *_: DEFAULT,
    }
    with ExitStack() as stack:
        for name, replacement in places.items():
            stack.enter_context(patch(name, replacement))
        yield


def train(
    way: str, tables: dict[str, Any], steps: int, seed: int, folder: Path
) -> dict[str, float]:
    """Train one way; return each task's main dev figure."""
    config = {
        "encoder": {"path": str(minilm_folder())},
        "tasks": tables,
        "training": {
            "epochs": 1, "steps_per_epoch": steps, "gradients": "sum", "seed": seed, "lr": 1e-4,
            "clip": 0, "precision": "bfloat16" if way == "bfloat16" else "float32",
        },
    }  # fmt: skip
    torch.manual_seed(seed)
    with ExitStack() as stack:
        if way == "reference":
            stack.enter_context(plain_paths())
        run = accord.train(config, out=folder / f"{way}-{seed}", quiet=True)
    return run.results["metrics"]


def main() -> None:
    parser = arguments(__doc__.splitlines()[0], "convergence", rounds=1)
    parser.add_argument("--steps", type=int, default=189, help="of the epoch; STS has as many")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    report = Report("Dev figures after one epoch: fast paths minus plain ones")
    tables = task_tables(data_folder(options.data), pooling="mean")
    figures: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as name:
        for seed in range(options.seeds):
            for way in WAYS:
                progress(f"seed {seed}: {way}")
                figures[way].append(train(way, tables, options.steps, seed, Path(name)))
    progress("")
    for task in tables:
        for way in ("fast", "bfloat16"):
            paired, plain = (
                np.array([table[task] for table in figures[name]]) for name in (way, "reference")
            )
            report.add(difference(f"convergence_{task}_{way}_minus_reference", paired - plain))
    report.details = {
        f"{task} {way}": [round(table[task], 4) for table in figures[way]]
        for task in tables
        for way in WAYS
    }
    report.finish(options.output)
    for name, values in report.details.items():
        print(f"  {name}: {values}")


def difference(name: str, values: np.ndarray) -> Row:
    """The mean of paired differences and its interval."""
    half = stats.sem(values) * stats.t.ppf(0.975, len(values) - 1) if len(values) > 1 else 0.0
    mean = float(values.mean())
    return Row(
        name, mean, None, "higher", (mean - half, mean + half), rounds=len(values), note="seeds"
    )


if __name__ == "__main__":
    main()
