"""Learning rate schedules: the share of its peak that the rate has at a step."""

from __future__ import annotations

import math
from collections.abc import Callable

from accord.errors import UsageError, nearest


def constant(_progress: float) -> float:
    """Stay at the peak: f(p) = 1."""
    return 1.0


def linear(progress: float) -> float:
    """Fall in a straight line: f(p) = 1 − p."""
    return 1.0 - progress


def cosine(progress: float) -> float:
    """Fall along half a cosine: f(p) = (1 + cos πp) / 2.

    *Source:* Loshchilov & Hutter, "SGDR", equation 5, with one period and no restart.
    """
    return 0.5 * (1.0 + math.cos(math.pi * progress))


SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
}


def lr_factor(schedule: str, step: int, total_steps: int, warmup_steps: int) -> float:
    """Return the learning rate at a step as a share of its peak.

    With s the step, w the warm-up's steps and n the total:

        s / w                         for s < w
        f(min(1, (s − w) / (n − w)))  from there on

    The very first step of a warm-up therefore has rate 0, as in transformers.

    Args:
        schedule: a name in `SCHEDULES`, which gives f.
        step: optimizer steps taken so far; 0 at the first.
        total_steps: steps of the whole run.
        warmup_steps: steps in which the rate rises, 0 for none.

    Returns:
        A number in [0, 1].

    Raises:
        UsageError: no schedule has this name.

    Example:
        >>> [lr_factor("linear", step, total_steps=6, warmup_steps=2) for step in range(7)]
        [0.0, 0.5, 1.0, 0.75, 0.5, 0.25, 0.0]
    """
    if schedule not in SCHEDULES:
        raise UsageError(f"unknown schedule '{schedule}'{nearest(schedule, SCHEDULES)}")
    if step < warmup_steps:
        return step / warmup_steps
    return SCHEDULES[schedule](min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps)))
