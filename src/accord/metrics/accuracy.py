"""Accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accord.metrics._metric import Metric

if TYPE_CHECKING:
    from accord.metrics._arrays import Array, Floats


def influence(predictions: Array, targets: Array) -> tuple[Floats, Floats]:
    """Return accuracies and rows' influence; the jackknife's is that of the mean itself."""
    hits = (predictions == targets).astype(float)
    value = hits.mean(-1)
    return value, hits - value[..., None]


def set_influence(predictions: Array, targets: Array) -> tuple[Floats, Floats]:
    """Return the share of rows whose labels are all predicted correctly, and rows' influence."""
    import numpy as np

    return influence((predictions == targets).all(-1), np.array(True))


def accuracy(predictions: Array, targets: Array) -> float:
    """Return the share of rows whose prediction equals the target: all of it, of a label set."""
    return float((predictions == targets).reshape(len(targets), -1).all(1).mean())


METRIC = Metric(
    accuracy,
    of="classes",
    meaning="the share of rows that are predicted correctly",
    influence=influence,
    set_influence=set_influence,
)
