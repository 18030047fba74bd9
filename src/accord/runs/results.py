"""A finished run's `results.json`, read back and checked: a stranger may have had it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from accord.errors import RunFolderError
from accord.runs.folder import RunFolder

RESULTS = "results.json"


class OfClass(BaseModel):
    """Figures of one class."""

    f1: float
    support: int


class ByClass(BaseModel):
    """Figures of each class."""

    classes: dict[str, OfClass]


class HeldOut(BaseModel):
    """A task's figures on rows that chose nothing; `by_class` of a task with classes, by rows."""

    value: float
    on: str
    rows: int
    gap: float
    constant: float
    remark: str = ""
    note: str = ""
    by_class: dict[str, ByClass] | None = None


class Stopped(BaseModel):
    """Why a run ended before its last epoch."""

    why: str


class Stage(BaseModel):
    """What a stage left."""

    name: str
    tasks: list[str]
    metrics: dict[str, float]
    heldout: dict[str, float]
    epochs: int
    stopped_early: Stopped | None = None


class Results(BaseModel):
    """What every reader of results relies on; there is more in them.

    A run that was made before there were held-out figures has none.
    """

    metrics: dict[str, float]
    metric_names: dict[str, str]
    figures: dict[str, dict[str, float]]
    score_kind: str
    score: float
    mean: float
    heldout_score: float | None = None
    best_epoch: int
    epochs: list[dict[str, Any]]
    steps: int
    train_seconds: float
    peak_memory_bytes: int
    parameters: int
    exposure: dict[str, dict[str, Any]]
    heldout: dict[str, HeldOut] | None = None
    stages: list[Stage] | None = None
    stopped_early: Stopped | None = None


def read_results(folder: Path) -> dict[str, Any]:
    """Return what a finished run's `results.json` holds.

    Raises:
        RunFolderError: if it can't be read, or lacks something; naming it.
    """
    table = RunFolder(folder).read_json(RESULTS)
    try:
        Results.model_validate(table, strict=True)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        key = ".".join(map(str, fault["loc"]))
        what = "is missing" if fault["type"] == "missing" else f"can't be {fault['input']!r:.60}"
        raise RunFolderError(f"{folder / RESULTS}: '{key}' {what}") from None
    return table
