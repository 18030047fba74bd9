"""Logits as probabilities and shares, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from accord.tasks import Task

_LEAST = 1e-15  # a probability whose logarithm or logit is still a number of some use


def mean_log(members: Sequence[Tensor]) -> Tensor:
    """Return the logarithms, float32, of several models' mean probabilities, float64."""
    import torch

    return torch.stack([*members]).mean(0).clamp(min=_LEAST).log().float()


def mean_logit(members: Sequence[Tensor]) -> Tensor:
    """Return the logits, float32, of several models' mean probabilities, float64."""
    import torch

    return logit(torch.stack([*members]).mean(0))


def logit(shares: Tensor) -> Tensor:
    """Return log(p / (1 − p)), float32, finite at 0 and 1 too."""
    return shares.logit(eps=_LEAST).float()


def share(task: Task, logits: Tensor) -> Tensor:
    """Return one output per row, [n, 1], as a number in [0, 1], float64 [n]; under MSE it may lie
    outside."""
    value = logits.squeeze(1).double()
    return value.sigmoid() if task.loss == "binary_cross_entropy" else value


def share_logits(task: Task, shares: Tensor) -> Tensor:
    """Return the outputs, float32 [n, 1], that say shares [n]."""
    logits = logit(shares) if task.loss == "binary_cross_entropy" else shares.float()
    return logits[:, None]
