"""State of the rules that learn a number a task."""

from __future__ import annotations

import torch

from accord.methods import State


def learned(name: str, value: float, tasks: int) -> State:
    """Return a tensor [T] with what Adam keeps of it."""
    empty = torch.zeros(tasks, dtype=torch.float64)
    return {
        name: torch.full_like(empty, value),
        f"{name}.m": empty, f"{name}.v": empty.clone(), f"{name}.t": empty.clone(),
    }  # fmt: skip
