"""Finished runs side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from accord.errors import RunFolderError
from accord.run_folder import RunFolder


@dataclass(frozen=True)
class RunSummary:
    """What a comparison shows of a run.

    Attributes:
        name: the run folder's path as given.
        metrics: each task's dev metric at the best epoch.
        metric_names: what each is.
        best_epoch: the epoch that was kept.
        train_seconds: in steps, evaluation left out.
        parameters: of the encoder and all heads.
    """

    name: str
    metrics: dict[str, float]
    metric_names: dict[str, str]
    best_epoch: int
    train_seconds: float
    parameters: int


def summarise(path: Path) -> RunSummary:
    """Read a finished run's results.

    Raises:
        RunFolderError: if the folder holds no run, or one that is not done.
    """
    run = RunFolder.open(path)
    state = run.state()
    if state != "done":
        raise RunFolderError(f"{path}: the run is {state}, not done; 'accord resume {path}'")
    results = run.read_json("results.json")
    try:
        return RunSummary(
            name=str(path),
            metrics=results["metrics"],
            metric_names=results["metric_names"],
            best_epoch=results["best_epoch"],
            train_seconds=results["train_seconds"],
            parameters=results["parameters"],
        )
    except KeyError as error:
        raise RunFolderError(f"{path / 'results.json'}: lacks {error}") from None


def tasks_of(runs: list[RunSummary]) -> dict[str, str]:
    """Return every task of any of the runs with its metric's name, in order of appearance."""
    return {name: metric for run in runs for name, metric in run.metric_names.items()}
