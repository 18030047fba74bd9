"""Errors that end a run: reported as one message, and recorded in its folder."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from accord.errors import (
    AccordError,
    NonFiniteError,
    Pruned,
    RunFolderError,
    Stopped,
    TrainingError,
)
from accord.kinds import get_kind
from accord.runs.folder import RunFolder
from accord.runs.repeatable import unordered
from accord.training.setup import Setup

_NAMED = 8  # examples that a message names


@contextlib.contextmanager
def in_one_line(folder: Path) -> Iterator[None]:
    """Say an error of the file system's as one of the run folder's."""
    try:
        yield
    except OSError as error:
        place = error.filename or folder
        raise RunFolderError(f"{place}: can't be used: {error.strerror}") from None


def in_words(setup: Setup, run: RunFolder, error: BaseException) -> BaseException:
    """Say what a full memory or disk, or a value that is not finite, means for the run."""
    if isinstance(error, torch.OutOfMemoryError):
        return TrainingError(
            f"out of memory{_while(error)}: {_less_memory(setup, run)};"
            f" '{str(error).splitlines()[0]}'"
        )
    if what := unordered(error):
        return TrainingError(
            f"training.deterministic: torch has no repeatable way to compute {what} here;"
            f" deterministic = false in {run.path / 'config.toml'} does without, and then"
            f" 'accord resume {run.path}' goes on"
        )
    if isinstance(error, OSError):
        return TrainingError(f"{run.path}: {error}; 'accord resume {run.path}' goes on")
    if isinstance(error, NonFiniteError):
        names = "; ".join(_example_ids(setup, name, rows) for name, rows in error.rows.items())
        return TrainingError(f"{error}; {names}")
    return error


def _while(error: BaseException) -> str:
    """Say what was going on, where an error has notes on it."""
    return "".join(f", {note}" for note in getattr(error, "__notes__", ()))


def _less_memory(setup: Setup, run: RunFolder) -> str:
    """Say which keys may be edited for less memory while the run is stopped."""
    plan, tokens = setup.plan, setup.pass_tokens
    if plan.encoder.frozen:
        return "a new run with a smaller training.batch_size takes less"
    fewer = '"auto"' if tokens is None else f"{max(1, tokens // 2)}"
    keys = [] if plan.encoder.gradient_checkpointing else ["encoder.gradient_checkpointing = true"]
    if not any(get_kind(task.kind).compares_examples for task in plan.data.tasks.values()):
        keys.insert(0, f"training.micro_batch_tokens = {fewer}")
    if not keys:
        return "a new run with a smaller training.batch_size takes less"
    return (
        f"set {' or '.join(keys)} in {run.path / 'config.toml'}, and then"
        f" 'accord resume {run.path}' goes on"
    )


def _example_ids(setup: Setup, name: str, rows: list[int]) -> str:
    split = next(split for split in setup.data.train if split.task.name == name)
    ids = [split.store.row_name(int(split.rows[row])) for row in rows]
    more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
    return f"{name}: examples {', '.join(ids[:_NAMED])}{more}"


def record_failure(
    run: RunFolder, known: BaseException, error: BaseException, **where: Any
) -> None:
    """Leave the reason in the folder, and where in the code it came up.

    Args:
        run: its folder.
        known: the reason.
        error: what came up.
        where: the run stands, as its status says it.
    """
    if isinstance(known, Stopped | Pruned | KeyboardInterrupt):
        state = "pruned" if isinstance(known, Pruned) else "stopped"
        run.set_status(state, **where, resumable=True)
        run.log(f"{type(known).__name__}: {known}")
        return
    reason = str(known) if isinstance(known, AccordError) else repr(known) + _while(known)
    run.set_status("failed", **where, reason=reason)
    run.log("".join(traceback.format_exception(error)), "DEBUG")
    run.log(f"{type(known).__name__}: {known}", "ERROR")
