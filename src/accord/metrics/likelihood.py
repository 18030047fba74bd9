"""How probable a model finds what a task without labels asks for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from accord.metrics._metric import Metric

if TYPE_CHECKING:
    from accord.metrics._arrays import Array


def likelihood(losses: Array, targets: Array) -> float:
    """Return exp(−mean loss), and 0 where a loss isn't finite."""
    loss = float(losses.mean())
    return math.exp(-loss) if math.isfinite(loss) else 0.0


METRIC = Metric(likelihood, of="losses", meaning="exp of minus the mean loss")
