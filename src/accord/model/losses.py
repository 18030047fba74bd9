"""Losses, an example at a time: a step's mean is taken over all its passes."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F


def cross_entropy(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return -Σ_c q_c log softmax(logits)_c, where q = (1 - ε) one-hot(target) + ε / C.

    *Source:* Szegedy et al. 2016, Rethinking the Inception architecture, section 7.

    Args:
        logits: [n, C].
        targets: class indices, [n].
        smoothing: ε, in [0, 1).
    """
    return F.cross_entropy(logits, targets.long(), reduction="none", label_smoothing=smoothing)


def binary_cross_entropy(
    logits: Tensor, targets: Tensor, weights: tuple[float, ...] = ()
) -> Tensor:
    """Return -w t log σ(z) - (1 - t) log(1 - σ(z)), the mean over labels where there are several.

    Args:
        logits: [n, 1] or [n, labels].
        targets: in [0, 1], [n] or [n, labels].
        weights: w of each label; none are 1.
    """
    wanted = targets.view_as(logits)
    positive = _on_device(weights, logits.device) if weights else None
    losses = F.binary_cross_entropy_with_logits(
        logits, wanted, reduction="none", pos_weight=positive
    )
    return losses.mean(1)


def mse(logits: Tensor, targets: Tensor) -> Tensor:
    """Return (z - t)²; logits [n, 1], targets [n] in [0, 1]."""
    return (logits[:, 0] - targets).square()


def coral(logits: Tensor, targets: Tensor) -> Tensor:
    """Return −Σ_k [t > k] log σ(z_k) + [t ≤ k] log(1 − σ(z_k)) of the steps k = 0 … K − 2 between
    ordered classes; logits [n, K − 1], targets [n] class indices.

    *Source:* Cao, Mirjalili & Raschka 2020, Rank consistent ordinal regression for neural networks
    with application to age estimation, with all steps' weights 1.
    """
    steps = torch.arange(logits.shape[1], device=logits.device)
    passed = (targets[:, None] > steps).to(logits.dtype)
    return F.binary_cross_entropy_with_logits(logits, passed, reduction="none").sum(1)


def weights_of_rows(weights: tuple[float, ...], targets: Tensor) -> Tensor:
    """Return the weight of each row's class, float32 [n].

    Args:
        weights: of the classes.
        targets: class indices, [n].
    """
    return _on_device(weights, targets.device)[targets.long()]


@lru_cache(maxsize=64)
def _on_device(weights: tuple[float, ...], device: torch.device) -> Tensor:
    """Keep a task's weights where its targets are: a copy at each step would wait for a GPU."""
    return torch.tensor(weights, dtype=torch.float32, device=device)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "mse": mse,
    "coral": coral,
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
    """Return KL(p‖q) + KL(q‖p) = (σ(a) − σ(b))(a − b) of each choice of two; all are [n, k]."""
    return (one.sigmoid() - other.sigmoid()) * (one - other)


DIVERGENCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": symmetric_kl,
    "binary_cross_entropy": lambda one, other: symmetric_binary_kl(one, other).mean(1),
    "mse": lambda one, other: (one - other).square()[:, 0],
    "coral": lambda one, other: symmetric_binary_kl(one, other).sum(1),
}
"""How far apart two passes' logits are, by the loss; in its units."""
