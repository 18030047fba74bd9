"""Accuracy."""

from __future__ import annotations

import numpy as np

from accord.metrics._metric import Array, Floats, Metric


def influence(predictions: Array, targets: Array) -> tuple[Floats, Floats]:
    """Return accuracies and rows' influence; the jackknife's is that of the mean itself."""
    hits = (predictions == targets).astype(np.float64)
    value = hits.mean(-1)
    return value, hits - value[..., None]


def set_influence(predictions: Array, targets: Array) -> tuple[Floats, Floats]:
    """Return the share of rows whose labels are all told right, and rows' influence."""
    return influence((predictions == targets).all(-1), np.array(True))


def accuracy(predictions: Array, targets: Array) -> float:
    """Return the share of rows whose prediction equals the target: all of it, of a label set."""
    return float(np.mean((predictions == targets).reshape(len(targets), -1).all(1)))


METRIC = Metric(
    accuracy,
    of="classes",
    meaning="the share of rows that are told right",
    influence=influence,
    set_influence=set_influence,
)
