"""Groups of runs made by hand: what they predict is on disk as a run leaves it."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from accord.comparison.group import Group
from accord.config.file import parse_config
from accord.kinds import labelled_kind
from accord.kinds.ranking import RankingTask
from accord.model.saved import DESCRIPTION, FORMAT
from accord.report.record import RunRecord
from accord.tasks import Task

TASKS = {
    "sst": Task("sst", "classification", "cross_entropy", "accuracy", ("neg", "pos")),
    "cola": Task("cola", "classification", "cross_entropy", "accuracy", ("0", "1")),
    "sts": Task("sts", "pair-regression", "mse", "pearson", range=(0.0, 5.0)),
    "docs": RankingTask("docs", "ranking", "listwise", "ndcg"),
}
DEV, TEST = "dev, cross-fitted", "test"

Answers = Mapping[str, tuple[np.ndarray, np.ndarray]]


def _write(file: Path, task: Task, labels: np.ndarray, predicted: np.ndarray, on: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        kind, classes = labelled_kind(task), [f"p({label})" for label in task.labels]
        writer.writerow(["id", "label", "prediction", *classes, "half"])
        sides = (kind.answers(task, side) for side in (labels, predicted))
        for i, answers in enumerate(zip(*sides, strict=True)):
            pair = [kind.cell(task, answer) for answer in answers]
            writer.writerow([f"r{i}", *pair, *["0.5"] * len(classes), i % 2 if on == DEV else 0])


def _describe(folder: Path, tasks: Sequence[Task]) -> None:
    """Leave what says of a model which tasks it has, and how many layers."""
    texts = [{"text": ["a", "b"][: task.texts], "label": "c"} for task in tasks]
    entries = [{**task.to_json(), "input": text} for task, text in zip(tasks, texts, strict=True)]
    table = {"format": FORMAT, "max_length": 16, "tasks": entries}
    (folder / DESCRIPTION).write_text(json.dumps(table))
    (folder / "config.json").write_text(json.dumps({"num_hidden_layers": 6}))


def _value(task: Task, labels: np.ndarray, predicted: np.ndarray, on: str) -> float:
    if task.labels:
        return float((labels == predicted).mean())
    if labels.ndim > 1:
        return 0.0  # nobody asks
    halves = (slice(None, None, 2), slice(1, None, 2)) if on == DEV else (slice(None),)
    parts = [(len(labels[h]), stats.pearsonr(labels[h], predicted[h])[0]) for h in halves]
    return float(sum(n * r for n, r in parts) / len(labels))


@pytest.fixture
def make_group(tmp_path: Path) -> Callable[..., Group]:
    """Make a group: (name, {"sst": (labels [n], predictions [S, n])}, seeds, ...)."""

    def make(
        name: str,
        answers: Answers,
        seeds: Sequence[int] = (),
        on: str = DEV,
        examples: float = 64,
        **sections: Any,
    ) -> Group:
        count = len(next(iter(answers.values()))[1])
        runs = [
            _run(f"{name},seed={seed}", answers, i, seed, on, examples, sections)
            for i, seed in enumerate(seeds or range(count))
        ]
        return Group(name, runs)

    def _run(name, answers, place, seed, on, examples, sections):  # type: ignore[no-untyped-def]
        tasks = {answer: TASKS[answer] for answer in answers}
        kinds = {
            each: {
                "kind": task.kind,
                "train": "t",
                "text": "a" if task.kind == "classification" else ["a", "b"],
            }
            for each, task in tasks.items()
        }
        training = {**sections.get("training", {}), "seed": seed}
        table = {"encoder": {"path": "e"}, "tasks": kinds, **sections, "training": training}
        folder = tmp_path / name
        (folder / "model").mkdir(parents=True, exist_ok=True)
        _describe(folder / "model", list(tasks.values()))
        heldout, metrics = {}, {}
        for each, (labels, predicted) in answers.items():
            file = folder / "predictions" / f"{each}-heldout.csv"
            _write(file, tasks[each], labels, predicted[place], on)
            value = _value(tasks[each], labels, predicted[place], on)
            heldout[each] = {"value": value, "on": on, "rows": len(labels), "gap": 0.01}
            metrics[each] = value + 0.01
        seen = {"examples": examples, "rows": 32, "tokens": 640, "steps": 8}
        results = {
            "metrics": metrics, "heldout": heldout, "exposure": dict.fromkeys(answers, seen),
            "train_seconds": 1.0, "steps": 10, "parameters": 100, "peak_memory_bytes": 1 << 30,
        }  # fmt: skip
        return RunRecord(name, folder, parse_config(table), tasks, results, {})

    return make


@pytest.fixture
def answers() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Draw two classes' labels and predictions right with a chance: (runs, rows, right, seed)."""

    def draw(
        runs: int, rows: int, right: float, seed: int = 0, labels_seed: int = 9
    ) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        labels = np.random.default_rng(labels_seed).permutation(np.arange(rows) % 2)
        hit = rng.random((runs, rows)) < right
        return labels, np.where(hit, labels, 1 - labels)

    return draw
