"""Losses, an example at a time: a step's mean is taken over all its passes."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F


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


def symmetric_kl(one: Tensor, other: Tensor) -> Tensor:
    """Return KL(p‖q) + KL(q‖p) = Σ (p − q)(log p − log q) of class probabilities, never below 0.

    Args:
        one: logits of p, [n, C].
        other: logits of q, [n, C].
    """
    p, q = F.log_softmax(one, 1), F.log_softmax(other, 1)
    return ((p.exp() - q.exp()) * (p - q)).sum(1)


def symmetric_binary_kl(one: Tensor, other: Tensor) -> Tensor:
    """Return KL(p‖q) + KL(q‖p) = (σ(a) − σ(b))(a − b) of two classes; logits a, b [n, 1]."""
    return ((one.sigmoid() - other.sigmoid()) * (one - other))[:, 0]


DIVERGENCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": symmetric_kl,
    "binary_cross_entropy": symmetric_binary_kl,
    "mse": lambda one, other: (one - other).square()[:, 0],
}
"""How far apart two passes' logits are, by the loss; in its units."""
