"""Which rows of an activation belong to which task, and functions applied task by task."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Slices = tuple[tuple[int, int, int], ...]
"""(task, start, stop), which together cover all rows in order; a task may have none."""


def task_slices(present: Sequence[int], bounds: Sequence[tuple[int, int]]) -> Slices:
    """Name the rows of each task.

    Args:
        present: the tasks' indices.
        bounds: each one's (start, stop).
    """
    return tuple(
        (task, start, stop) for task, (start, stop) in zip(present, bounds, strict=True)
        if start < stop
    )  # fmt: skip


def by_task(slices: Slices, x: Tensor, apply: Callable[[int, Tensor], Tensor]) -> Tensor:
    """Apply a function of (task, its rows [n, k]) to each task's rows: [N, k] -> [N, m]."""
    parts = [apply(task, x[start:stop]) for task, start, stop in slices]
    return parts[0] if len(parts) == 1 else torch.cat(parts)
