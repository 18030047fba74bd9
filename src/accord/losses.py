"""Losses, an example at a time: a step's mean is taken over all its passes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from accord.tasks import Task


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return -log softmax(logits)[target]; logits [n, C], targets [n] class indices."""
    return F.cross_entropy(logits, targets.long(), reduction="none")


def binary_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return -t log σ(z) - (1 - t) log(1 - σ(z)); logits [n, 1], targets [n] in [0, 1]."""
    return F.binary_cross_entropy_with_logits(logits[:, 0], targets, reduction="none")


def mse(logits: Tensor, targets: Tensor) -> Tensor:
    """Return (z - t)²; logits [n, 1], targets [n] in [0, 1]."""
    return (logits[:, 0] - targets).square()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "mse": mse,
}


def targets(labels: Tensor, task: Task) -> Tensor:
    """Scale labels to what the loss takes: a regression's range becomes [0, 1].

    Args:
        labels: [n], class indices or values in the task's own units.
        task: whose labels.

    Returns:
        float32 [n].
    """
    if task.is_classification:
        return labels.to(torch.float32)
    low, high = task.range
    return ((labels - low) / (high - low)).to(torch.float32)
