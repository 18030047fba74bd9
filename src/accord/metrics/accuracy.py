"""Accuracy."""

from __future__ import annotations

import numpy as np

from accord.metrics._metric import Array, Floats, Metric


def influence(predictions: Array, targets: Array) -> tuple[Floats, Floats]:
    """Return accuracies and rows' influence; the jackknife's is that of the mean itself."""
    hits = (predictions == targets).astype(np.float64)
    value = hits.mean(-1)
    return value, hits - value[..., None]


def accuracy(predictions: Array, targets: Array) -> float:
    """Return the share of predictions that equal their target."""
    return float(np.mean(predictions == targets))


METRIC = Metric(
    accuracy, of="classes", meaning="the share of rows that are told right", influence=influence
)
