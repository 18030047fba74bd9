"""How much quicker are heads trained on a frozen encoder?

    python benchmarks/frozen.py [--rows N] [--epochs N] [--data FOLDER] [--rounds N]

Three tasks with so many training rows each and a tenth as many dev rows, MiniLM with CLS pooling,
batches of 32 a task, AdamW on the heads alone, every epoch evaluated on the dev rows.

ours           a whole `accord.train`: reads, tokenises, encodes once, trains, keeps checkpoints
transformers   the usual loop: rows already read; loads, tokenises once, encodes every batch again
               in every epoch, padded, under no_grad and without dropout; nothing is written
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import transformers
from epoch import first_rows, task_tables
from harness import Report, Side, alternate, arguments, speedup
from torch import Tensor, nn
from workload import WEIGHT_DECAY, data_folder, minilm_folder

import accord
from accord.data.examples import BadRow, read_examples
from accord.data.files import DataFiles
from accord.data.resolving import resolve_task
from accord.kinds import labelled_kind, task_section
from accord.model.losses import LOSSES
from accord.runs.memory import keep_freed_memory
from accord.tasks import Task

BATCH, LR = 32, 1e-3


def config(tables: dict[str, dict[str, Any]], epochs: int) -> dict[str, Any]:
    """What `accord.train` is given."""
    return {
        "encoder": {"path": str(minilm_folder()), "mode": "frozen"},
        "tasks": tables,
        "training": {
            "epochs": epochs, "batch_size": BATCH, "lr": LR, "weight_decay": WEIGHT_DECAY,
            "device": "cpu",
        },
    }  # fmt: skip


def ours(tables: dict[str, dict[str, Any]], epochs: int, folder: Path) -> Side:
    """A run in a folder of its own, its tokens not yet in the cache."""
    numbers = count()

    def side(_: int) -> None:
        own = folder / f"run-{next(numbers)}"
        with patch.dict(os.environ, {"ACCORD_CACHE": f"{own}-cache"}):
            accord.train(config(tables, epochs), out=own, quiet=True)

    return side


@dataclass(frozen=True)
class Rows:
    """One split of a task: its texts, and what the loss compares with."""

    task: Task
    texts: list[tuple[str, ...]]
    targets: Tensor


def read(name: str, table: dict[str, Any], split: str) -> Rows:
    """Read a split of a task."""
    settings = task_section(**table)
    task = resolve_task(name, settings)
    rows = read_examples(DataFiles((Path(table[split]),)), settings, task, labelled=True)
    examples = [row for row in rows if not isinstance(row, BadRow)]
    labels = torch.tensor([row.label for row in examples])
    return Rows(task, [row.texts for row in examples], labelled_kind(task).targets(task, labels))


class Loop:
    """The usual loop over a frozen encoder."""

    def __init__(self, train: list[Rows], dev: list[Rows]) -> None:
        self.train, self.dev = train, dev
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(minilm_folder())
        self.bert = transformers.BertModel.from_pretrained(
            minilm_folder(), add_pooling_layer=False, attn_implementation="sdpa"
        )
        self.bert.requires_grad_(False).eval()
        width = self.bert.config.hidden_size
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Dropout(own.task.dropout), nn.Linear(width, own.task.outputs))
            for own in train
        )
        self.optimizer = torch.optim.AdamW(
            self.heads.parameters(), lr=LR, weight_decay=WEIGHT_DECAY
        )

    def run(self, epochs: int) -> None:
        """Train and evaluate."""
        train = [self._tokenised(own) for own in self.train]
        dev = [self._tokenised(own) for own in self.dev]
        for _ in range(epochs):
            self.heads.train()
            for batches in zip(*map(_shuffled, self.train), strict=True):
                losses = [
                    LOSSES[own.task.loss](head(self._cls(ids, rows)), own.targets[rows]).mean()
                    for own, head, ids, rows in zip(
                        self.train, self.heads, train, batches, strict=True
                    )
                ]
                self.optimizer.zero_grad()
                torch.stack(losses).sum().backward()
                self.optimizer.step()
            self.heads.eval()
            for own, head, ids in zip(self.dev, self.heads, dev, strict=True):
                for rows in _in_batches(list(range(len(own.texts)))):
                    with torch.no_grad():
                        LOSSES[own.task.loss](head(self._cls(ids, rows)), own.targets[rows])

    def _tokenised(self, own: Rows) -> list[dict[str, list[int]]]:
        columns = [list(column) for column in zip(*own.texts, strict=True)]
        encoded = self.tokenizer(*columns, truncation=True, padding=False)
        return [{name: encoded[name][i] for name in encoded} for i in range(len(own.texts))]

    @torch.no_grad()
    def _cls(self, encoded: list[dict[str, list[int]]], rows: list[int]) -> Tensor:
        batch = self.tokenizer.pad([encoded[row] for row in rows], return_tensors="pt")
        return self.bert(**batch).last_hidden_state[:, 0]


def _shuffled(own: Rows) -> Iterator[list[int]]:
    return _in_batches(random.sample(range(len(own.texts)), len(own.texts)))


def _in_batches(rows: list[int]) -> Iterator[list[int]]:
    return (rows[start : start + BATCH] for start in range(0, len(rows), BATCH))


def main() -> None:
    parser = arguments(__doc__.splitlines()[0], "frozen", rounds=3)
    parser.add_argument("--rows", type=int, default=640, help="of each task")
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    keep_freed_memory()
    report = Report(f"Heads on a frozen encoder, {options.epochs} epochs: peer's time over ours")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tables = task_tables(data_folder(options.data))
        for task, table in tables.items():
            rows = {"train": options.rows, "dev": max(BATCH, options.rows // 10)}
            own = folder / task
            own.mkdir()
            table |= {split: first_rows(table, split, n, own) for split, n in rows.items()}
        train, dev = (
            [read(task, table, split) for task, table in tables.items()]
            for split in ("train", "dev")
        )
        sides = {
            "ours": ours(tables, options.epochs, folder),
            "transformers": lambda _: Loop(train, dev).run(options.epochs),
        }
        ours(tables, 1, folder / "warmup")(0)
        Loop(train, dev).run(1)
        seconds = alternate(sides, options.rounds, warmup=0)
    report.add(speedup(
        f"frozen_{options.epochs}_epochs_vs_transformers", seconds["transformers"],
        seconds["ours"], 10.0, f"{options.rows} rows per task",
    ))  # fmt: skip
    report.details = {"transformers": transformers.__version__}
    report.finish(options.output)


if __name__ == "__main__":
    main()
