"""Which step collects the gradients of the passes in the block around."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

from torch.nn import Parameter

from accord.pertask.bounds import TaskBounds

if TYPE_CHECKING:
    from accord.pertask.step import Step


class TaskRows(NamedTuple):
    """The step that collects an activation's gradients, and whose rows are whose."""

    step: Step
    bounds: TaskBounds


_CURRENT: ContextVar[Step | None] = ContextVar("step", default=None)


def collects() -> bool:
    """Whether a step collects gradients in the block around."""
    return _CURRENT.get() is not None


@contextmanager
def collected_by(step: Step | None) -> Iterator[None]:
    """Let a step collect the gradients of the passes within a block; None: autograd has them."""
    token = _CURRENT.set(step)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def task_rows(rows: int, *parameters: Parameter | None, partly: bool = False) -> TaskRows | None:
    """Return where the gradients of an operation's parameters go, by the blocks around.

    Args:
        rows: of the operation's input.
        parameters: of the operation.
        partly: whether a step may collect some of them and leave others to autograd.

    Returns:
        None where a step collects none of them: they are autograd's.

    Raises:
        ValueError: if it collects some that are trained and not others.
    """
    step = _CURRENT.get()
    if step is None:
        return None
    trained = [
        parameter for parameter in parameters if parameter is not None and parameter.requires_grad
    ]
    collected = [parameter for parameter in trained if step.owns(parameter)]
    if not collected:
        return None
    if len(collected) < len(trained) and not partly:
        raise ValueError("J has some of a norm's parameters and not the others")
    return TaskRows(step, step.bounds_of(rows))
