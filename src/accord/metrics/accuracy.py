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


def accuracy(predictions: Array, targets: Array) -> float:
    """Return the share of predictions that equal their target."""
    return float((predictions == targets).mean())


METRIC = Metric(
    accuracy, of="classes", meaning="the share of rows that are told right", influence=influence
)
