"""What a finished run left, read back for comparisons and reports."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from accord.config.sections import Config
from accord.errors import RunFolderError
from accord.evaluation.heldout import ON_TEST, require_heldout
from accord.kinds import labelled_kind
from accord.metrics import get_metric
from accord.plan.recorded import recorded_config
from accord.runs.contents import Contents
from accord.runs.folder import RunFolder
from accord.runs.results import read_results
from accord.tasks import Task
from accord.untrusted import check_regular, parse_json


@dataclass(frozen=True)
class Predictions:
    """A run's dev predictions of one task, by its best epoch, beside the labels.

    Attributes:
        task: whose.
        key: what identifies the rows: 'id', or 'line' where their file has no ids.
        ids: of the rows, or their lines.
        labels: class indices, or values in the task's units, [n]; or label sets, [n, labels].
        predicted: likewise.
        probabilities: [n, classes]; None for a regression.
    """

    task: Task
    key: str
    ids: list[str]
    labels: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray | None

    @property
    def evaluated(self) -> np.ndarray:
        """What the task's metric takes of them."""
        by_shares = get_metric(self.task.metric).of == "probabilities"
        shares = self.probabilities if by_shares else None
        return self.predicted if shares is None else shares


@dataclass(frozen=True)
class HeldOut(Predictions):
    """A run's predictions of rows that no choice of the model that predicts them has seen.

    Attributes:
        halves: int8 [n]: which half of dev a row is in; 0 of all test rows.
        on: 'test' or 'dev, cross-fitted' (`accord.evaluation.heldout`).
    """

    halves: np.ndarray
    on: str


@dataclass(frozen=True)
class RunRecord:
    """A finished run.

    Attributes:
        name: as it is shown.
        path: of its folder.
        config: that it was trained by.
        tasks: those with labels, resolved, with their labels or ranges.
        results: what `results.json` holds.
        environment: what `environment.json` holds.
    """

    name: str
    path: Path
    config: Config
    tasks: dict[str, Task]
    results: dict[str, Any]
    environment: dict[str, Any]

    @property
    def metrics(self) -> dict[str, float]:
        """Each task's dev metric at the best epoch."""
        return dict(self.results["metrics"])

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self.config.training.seed

    @cached_property
    def evaluations(self) -> list[dict[str, Any]]:
        """One record per epoch: epoch, step, metrics, sum, score, figures."""
        return list(self.results["epochs"])

    @cached_property
    def steps(self) -> list[dict[str, Any]]:
        """One record per step, as `metrics.jsonl` holds it."""
        return [line for line in self._lines() if line["kind"] == "step"]

    @cached_property
    def half_cosines(self) -> list[dict[str, Any]]:
        """Records of steps whose gradients were measured by halves of each task's batch."""
        return [line for line in self._lines() if line["kind"] == "halves"]

    @property
    def stopped_early(self) -> bool:
        """Whether it, or a stage of it, ended before its last epoch."""
        parts = [self.results, *(self.results.get("stages") or ())]
        return any(part.get("stopped_early") for part in parts)

    @property
    def seconds_per_epoch(self) -> float:
        """Training time over epochs, evaluations left out."""
        stages = self.results.get("stages")
        epochs = sum(stage["epochs"] for stage in stages) if stages else len(self.evaluations)
        return float(self.results["train_seconds"]) / epochs

    def predictions(self, task: str) -> Predictions:
        """Return the dev predictions of a task.

        Raises:
            RunFolderError: if their file can't be read.
        """
        file = self.path / "predictions" / f"{task}-dev.csv"
        return _predictions(file, _read_rows(file), self.tasks[task])

    @property
    def heldout_values(self) -> dict[str, float]:
        """Each task's metric on its held-out rows."""
        return {name: float(entry["value"]) for name, entry in self.results["heldout"].items()}

    def heldout(self, task: str) -> HeldOut:
        """Return the held-out predictions of a task.

        Raises:
            RunFolderError: if their file can't be read.
        """
        file = self.path / "predictions" / f"{task}-heldout.csv"
        rows = _read_rows(file)
        predictions = _predictions(file, rows, self.tasks[task])
        try:
            halves = np.array([int(row["half"]) for row in rows], dtype=np.int8)
            on = str(self.results["heldout"][task]["on"])
        except (KeyError, TypeError, ValueError) as error:
            raise RunFolderError(f"{file}: can't be read: {error!r}") from None
        return HeldOut(**vars(predictions), halves=halves, on=on)

    def heldout_content(self, task: str) -> str:
        """Return what identifies a task's held-out rows; empty where that isn't known."""
        if self.results["heldout"][task]["on"] != ON_TEST:
            return self.contents.data(task, "dev")
        parts = (self.contents.data(task, split) for split in ("test", "test labels"))
        return ":".join(filter(None, parts))

    @cached_property
    def contents(self) -> Contents:
        """What the run was made from; {} of a folder that doesn't say."""
        file = RunFolder(self.path)
        exists = (self.path / "resolved.json").is_file()
        return Contents(file.read_json("resolved.json") if exists else {})

    def _lines(self) -> Iterator[dict[str, Any]]:
        file = self.path / "metrics.jsonl"
        try:
            check_regular(file)
            with file.open(encoding="utf-8") as lines:
                for number, line in enumerate(lines, 1):
                    record = parse_json(line)
                    if not isinstance(record, dict) or "kind" not in record:
                        raise ValueError(f"line {number} is not a record")
                    yield record
        except (OSError, ValueError) as error:
            raise RunFolderError(f"{file}: can't be read: {error}") from None


def read_run(path: Path, name: str | None = None) -> RunRecord:
    """Read a finished run.

    Raises:
        RunFolderError: if the folder holds no run, or one that is not done.
    """
    run = RunFolder.open(path)
    state = run.state()
    if state != "done":
        raise RunFolderError(f"{path}: the run is {state}, not done; 'accord resume {path}'")
    results = read_results(path)
    begun = run.read_json("resolved.json")
    require_heldout(path, results)
    try:
        tasks = [Task.from_json(entry) for entry in begun["tasks"]]
    except (KeyError, TypeError, ValueError):
        raise RunFolderError(f"{path / 'resolved.json'}: 'tasks' can't be read") from None
    if not tasks:
        raise RunFolderError(f"{path}: was trained without labels: it has no figures to compare")
    return RunRecord(
        name=name or str(path),
        path=path,
        config=recorded_config(run),
        tasks={task.name: task for task in tasks},
        results=results,
        environment=run.read_json("environment.json"),
    )


def _read_rows(file: Path) -> list[dict[str, str]]:
    csv.field_size_limit(2**31 - 1)  # by default less than all tags of a long text
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream))
    except (OSError, ValueError, csv.Error) as error:
        raise RunFolderError(f"{file}: can't be read: {error!r}") from None


def _predictions(file: Path, rows: list[dict[str, str]], task: Task) -> Predictions:
    try:
        kind = labelled_kind(task)
        labels, predicted = (
            kind.read_answers(task, [row[name] for row in rows]) for name in ("label", "prediction")
        )
        names = [f"p({label})" for label in kind.probability_names(task)]
        shares = [[float(row[name]) for name in names] for row in rows]
        key = "line" if rows and "id" not in rows[0] else "id"
        ids = [row[key] for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise RunFolderError(f"{file}: can't be read: {error!r}") from None
    each = np.array(shares) if names else None
    return Predictions(task, key, ids, labels, predicted, each)
