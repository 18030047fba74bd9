"""Removes what a finished run no longer needs, once it is done or found to be done."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from accord.durable import leftovers, sweep
from accord.runs.folder import RunFolder


def tidy(run: RunFolder) -> None:
    """Remove what is left of the epochs of a run that is done, and of writes that a kill cut off.

    `model/` and `scores.safetensors` hold what `best/` and `kept/` held. Whoever calls this is the
    one process that writes to the folder.
    """
    for folder in (run.best, run.kept):
        shutil.rmtree(folder, ignore_errors=True)
    for folder in _written(run):
        sweep(folder)


def tidy_up(run: RunFolder) -> None:
    """Do so with a run that another process left, if there is anything to be done.

    Raises:
        BusyError: if a process is using it.
    """
    if run.best.exists() or run.kept.exists() or any(map(leftovers, _written(run))):
        with run.hold():
            tidy(run)


def _written(run: RunFolder) -> Iterator[Path]:
    yield from (run.path, run.predictions, run.checkpoints)
