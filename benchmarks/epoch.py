"""What share of an epoch is not the encoder's work?

    python benchmarks/epoch.py [--steps N] [--dev-rows N] [--data FOLDER] [--rounds N]

A whole `accord.train` of one epoch with PCGrad, from the config to results.json, its tokens not
yet in the cache. The encoder's work is the training step and evaluation's passes of the encoder;
all else is outside: reading and tokenising, batches, logs, metrics, checkpoints, the saved model.
"""

from __future__ import annotations

import csv
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

from harness import Report, Row, arguments, median_interval, progress
from workload import COURSE, DROPOUT, SAMPLE, data_folder, minilm_folder

import accord
from accord.data.files import DataFiles
from accord.data.reading import FilesReader
from accord.evaluation import inference
from accord.runs.folder import RunFolder
from accord.training import epoch, loop
from accord.training import run as training
from accord.training.batches import Batches
from accord.training.setup import Setup
from accord.training.step import Learner

TARGET = 0.05
ENCODER = ("training steps", "encoder in evaluation")
PARTS = (
    (Learner, "step", "training steps"),
    (inference, "encoded", "encoder in evaluation"),
    (training, "prepare", "start-up"),
    (Setup, "estimate", "start-up"),
    (Batches, "take", "batch assembly"),
    (RunFolder, "append_metrics", "logging"),
    (loop, "evaluate_epoch", "rest of evaluation"),
    (epoch, "stage_best", "best model"),
    (loop, "save_checkpoint", "checkpoint"),
    (training, "finish", "results"),
)


def task_tables(folder: Path, pooling: str = "cls") -> dict[str, dict[str, Any]]:
    """The three tasks of a folder as a config's `[tasks.NAME]` tables, with their dev files."""
    files = COURSE if (folder / "ids-sst-train.csv").exists() else SAMPLE
    tables = {}
    for name, (file, kind, text, label) in files.items():
        columns = text.split()
        tables[name] = {
            "kind": kind, "label": label, "pooling": pooling, "dropout": DROPOUT,
            "text": columns[0] if len(columns) == 1 else columns, "on_bad_row": "skip",
            "train": str((folder / file).absolute()),
            "dev": str((folder / file.replace("-train", "-dev")).absolute()),
        }  # fmt: skip
    return tables


def first_rows(table: Mapping[str, Any], split: str, rows: int, folder: Path) -> str:
    """Write the first usable rows of a task's file to a file of their own; return its path."""
    text = table["text"]
    columns = [*([text] if isinstance(text, str) else text), table["label"]]
    source, target = Path(table[split]), folder / f"{Path(table[split]).stem}-{rows}.tsv"
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(columns)
        for row in FilesReader(DataFiles((source,))).rows(columns):
            if rows and row.values and all(row.values[name].strip() for name in columns):
                writer.writerow([row.values[name] for name in columns])
                rows -= 1
    return str(target)


class Stopwatch:
    """Seconds by part; each second counts once, for the innermost part that was running."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._running: list[str] = []
        self._since = 0.0

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what happens inside for a part."""
        self._charge()
        self._running.append(name)
        try:
            yield
        finally:
            self._charge()
            self._running.pop()

    def timed(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        """A function whose time counts for a part."""

        @wraps(function)
        def run(*args: Any, **options: Any) -> Any:
            with self.part(name):
                return function(*args, **options)

        return run

    def _charge(self) -> None:
        now = time.perf_counter()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now


def train_timed(config: Mapping[str, Any]) -> dict[str, float]:
    """Train in folders of their own; return the seconds of every part."""
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        stack.enter_context(patch.dict(os.environ, {"ACCORD_CACHE": f"{folder}/cache"}))
        for home, name, part in PARTS:
            timed = watch.timed(getattr(home, name), part)
            stack.enter_context(patch.object(home, name, timed))
        with watch.part("else"):
            accord.train(config, out=f"{folder}/run", quiet=True)
    return dict(watch.seconds)


def outside(seconds: Mapping[str, float], *, startup: bool) -> float:
    """The share that is not the encoder's work."""
    counted = {name: second for name, second in seconds.items() if startup or name != "start-up"}
    return 1 - sum(counted[name] for name in ENCODER) / sum(counted.values())


def main() -> None:
    parser = arguments(__doc__.splitlines()[0], "epoch", rounds=1)
    parser.add_argument("--steps", type=int, default=189, help="of the epoch; STS has as many")
    parser.add_argument("--dev-rows", type=int, default=None, help="of each task; default all")
    options = parser.parse_args()
    report = Report("Share of an epoch outside the encoder's work")
    tables = task_tables(data_folder(options.data))
    with tempfile.TemporaryDirectory() as folder:
        if options.dev_rows is not None:
            for table in tables.values():
                table["dev"] = first_rows(table, "dev", options.dev_rows, Path(folder))
        config = {
            "encoder": {"path": str(minilm_folder())},
            "tasks": tables,
            "training": {"epochs": 1, "steps_per_epoch": options.steps, "gradients": "pcgrad"},
        }
        runs = []
        for i in range(options.rounds):
            progress(f"run {i + 1} of {options.rounds}")
            runs.append(train_timed(config))
        progress("")
    for name, startup, target in (
        ("epoch_outside_share", True, TARGET),
        ("epoch_outside_share_without_startup", False, None),
    ):
        shares = [outside(seconds, startup=startup) for seconds in runs]
        interval = median_interval(shares) if len(shares) > 1 else None
        report.add(Row(
            name, statistics.median(shares), target, "lower", interval, rounds=len(shares),
            note=f"{options.steps} steps, one evaluation",
        ))  # fmt: skip
    report.details = {
        name: round(statistics.median(seconds.get(name, 0.0) for seconds in runs), 4)
        for name in sorted(runs[0], key=runs[0].get, reverse=True)
    }
    report.finish(options.output)


if __name__ == "__main__":
    main()
