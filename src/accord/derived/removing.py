"""A trained model without some of its tasks; the others stay as they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from accord.data.datasets import Say
from accord.derived.composed import open_model, write_proved
from accord.errors import UsageError


def remove_tasks(
    model: Path, names: Sequence[str], out: Path, say: Say = lambda line: None
) -> tuple[str, ...]:
    """Write a model folder without some tasks.

    Args:
        model: a run folder or model folder.
        names: of the tasks that go.
        out: the folder to write; must not exist yet.
        say: told what is being done.

    Returns:
        One line for each task that stays: on which texts its answers are equal to the byte.

    Raises:
        UsageError: if `out` is there, the model can't be used, or no task would stay.
        TrainingError: if an answer of another task would change; nothing was written.
    """
    opened = open_model(model, out, names)
    if not opened.others:
        raise UsageError(
            f"{opened.folder}: a model needs a task; removing {', '.join(names)} leaves none"
        )
    return write_proved(opened, opened.others, out, say=say)
