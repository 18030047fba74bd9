"""Runs and predictions made by hand, and one run that was trained."""

import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import projects
import pytest

from accord.config.file import load_config, parse_config
from accord.plan.making import plan_run
from accord.report.page import Figure
from accord.report.record import Predictions, RunRecord, read_run
from accord.tasks import Task
from accord.training.run import start_run

TASKS = {
    "sst": Task("sst", "classification", "cross_entropy", "accuracy", ("neg", "mid", "pos")),
    "quora": Task("quora", "pair-classification", "mse", "accuracy", ("0", "1")),
    "sts": Task("sts", "pair-regression", "mse", "pearson", range=(0.0, 5.0)),
}


def _run(
    metrics: dict[str, list[float]],
    *,
    steps: Sequence[dict[str, Any]] = (),
    halves: Sequence[dict[str, float]] = (),
    seed: int = 0,
) -> RunRecord:
    """A run of as many epochs as each task's list of metrics is long."""
    tasks = {name: TASKS[name] for name in metrics}
    epochs = len(next(iter(metrics.values())))
    per_epoch = max(1, len(steps) // epochs)
    evaluations = [
        {"epoch": e + 1, "step": (e + 1) * per_epoch, "metrics": {n: metrics[n][e] for n in tasks}}
        for e in range(epochs)
    ]
    table = {
        "encoder": {"path": "e"},
        "training": {"epochs": epochs, "seed": seed},
        "tasks": {
            name: {"kind": task.kind, "train": "t", "text": ["a", "b"] if task.texts == 2 else "a"}
            for name, task in tasks.items()
        },
    }
    results = {
        "metrics": evaluations[-1]["metrics"],
        "metric_names": {name: task.metric for name, task in tasks.items()},
        "epochs": evaluations,
        "train_seconds": 10.0,
    }
    run = RunRecord(f"seed {seed}", Path("run"), parse_config(table), tasks, results, {})
    # What `metrics.jsonl` holds is read when it is asked for, and then kept.
    run.__dict__["steps"] = [
        {"kind": "step", "step": i, "losses": {}, **line} for i, line in enumerate(steps, 1)
    ]
    run.__dict__["half_cosines"] = [
        {"kind": "halves", "step": i, "cosines": half} for i, half in enumerate(halves, 1)
    ]
    return run


@pytest.fixture(scope="session")
def make_run() -> Callable[..., RunRecord]:
    """Make a run: ({"sst": [0.5, 0.6]}, steps=[{"losses": …}], halves=[{"sst": 0.3}], seed=0)."""
    return _run


def _steps(count: int, *tasks: str, cosine: float = 0.1) -> list[dict[str, Any]]:
    return [
        {
            "losses": dict.fromkeys(tasks, 1 / i),
            "task_gradient_norms": dict.fromkeys(tasks, 2.0),
            "gramian": [[4 * cosine] * row + [4.0] for row in range(len(tasks))],
        }
        for i in range(1, count + 1)
    ]


@pytest.fixture(scope="session")
def make_steps() -> Callable[..., list[dict[str, Any]]]:
    """Make lines of steps: (count, "sst", "sts", cosine=0.1)."""
    return _steps


@pytest.fixture(scope="session")
def texts_of() -> Callable[[Figure], str]:
    """All that can be read in a figure."""
    svg = "{http://www.w3.org/2000/svg}"
    return lambda each: " ".join(t.text or "" for t in ET.fromstring(each.svg).iter(f"{svg}text"))


def _classes(
    true: Sequence[int], shares: Sequence[Sequence[float]], labels: tuple[str, ...] = ()
) -> Predictions:
    labels = labels or tuple(f"label{i}" for i in range(len(shares[0])))
    reshape = np.array(shares, dtype=float).reshape(len(true), len(labels))
    task = Task("sst", "classification", "cross_entropy", "accuracy", labels)
    predicted = reshape.argmax(axis=1).astype(float) if len(true) else np.array([])
    ids = [f"r{i}" for i in range(len(true))]
    return Predictions(task, "id", ids, np.array(true, dtype=float), predicted, reshape)


@pytest.fixture(scope="session")
def make_classes() -> Callable[..., Predictions]:
    """Make a classification's predictions: ([true index], [[probability, …]], labels)."""
    return _classes


def _values(true: Sequence[float], predicted: Sequence[float]) -> Predictions:
    ids = [f"r{i}" for i in range(len(true))]
    both = (np.array(each, dtype=float) for each in (true, predicted))
    return Predictions(TASKS["sts"], "id", ids, *both, None)


@pytest.fixture(scope="session")
def make_values() -> Callable[..., Predictions]:
    """Make a regression's predictions: ([true], [predicted])."""
    return _values


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCORD_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of one epoch; 'near' has no dev file. Its project is the folder beside it."""
    folder = tmp_path_factory.mktemp("trained")
    encoder = projects.write_encoder(folder / "tiny")
    changes = {"training.epochs": 1, "tasks.near.dev": None, "tasks.mood.limit": 7}
    config = projects.write_project(folder / "project", encoder, changes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCORD_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        start_run(plan_run(load_config(config)).only, folder / "run", quiet=True)
    return folder / "run"


@pytest.fixture
def record(trained: Path) -> RunRecord:
    return read_run(trained)
