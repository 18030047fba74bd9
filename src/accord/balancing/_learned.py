"""State of the rules that learn one number per task."""

from __future__ import annotations

import math

import torch

from accord.methods import State


def learned(name: str, value: float, tasks: int) -> State:
    """Return a tensor [T] with what Adam keeps of it."""
    empty = torch.zeros(tasks, dtype=torch.float64)
    return {
        name: torch.full_like(empty, value),
        f"{name}.m": empty, f"{name}.v": empty.clone(), f"{name}.t": empty.clone(),
    }  # fmt: skip


def bounded(state: State, name: str, largest: float) -> State:
    """Return a state in which the logarithm of a weight, or minus it, stays within log `largest`.

    A loss of 0 gives it the same push at every step, for ever.
    """
    limit = math.log(largest)
    return {**state, name: state[name].clamp(-limit, limit)}
