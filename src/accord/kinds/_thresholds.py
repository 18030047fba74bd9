"""Thresholds of labels: logits moved by them, and those of the best F1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from accord.kinds._targets import Array

_FAR = 30.0  # logits further out are as good as sure


def moved(logits: Tensor, thresholds: Sequence[float]) -> Tensor:
    """Return logits that are above 0 where their probability is above its label's threshold.

    Args:
        logits: float32 [n, labels].
        thresholds: one for each label; none leave logits as they are.

    Example:
        >>> import torch
        >>> moved(torch.tensor([[0.0, 1.0]]), (0.5, 0.9)).sign().tolist()
        [[0.0, -1.0]]
    """
    import torch

    if not thresholds:
        return logits
    offsets = torch.tensor(thresholds, dtype=torch.float64, device=logits.device).logit()
    return (logits.double() - offsets).float()


def best_f1_thresholds(targets: Array, logits: Array) -> tuple[float, ...]:
    """Return for each label the probability from which on predicting it has the highest F1.

    It is 0.5 where that is among the best, and for a label that no row has; else it lies in the
    middle between the logits of two rows. Of equally good ones it is the one next to 0.5.

    Args:
        targets: 0 or 1, [n, labels].
        logits: [n, labels].

    Example:
        >>> import numpy as np
        >>> best_f1_thresholds(np.array([[1], [1], [0]]), np.array([[-1.0], [2.0], [-3.0]]))
        (0.11920292202211755,)
    """
    import numpy as np

    n, labels = targets.shape
    if not n:
        return (0.5,) * int(labels)
    order = np.argsort(-logits, axis=0, kind="stable")
    above = np.take_along_axis(logits.astype(np.float64), order, 0)
    below = np.concatenate([above[1:], above[-1:] - 1])
    hits = np.take_along_axis(targets.astype(np.int64), order, 0).cumsum(0)
    f1 = np.where(above > below, 2 * hits / (np.arange(1, n + 1)[:, None] + hits[-1]), -1)
    offsets = np.where((below < 0) & (above >= 0), 0, (above + below) / 2)
    distance = np.where(f1 == f1.max(0), np.abs(offsets), np.inf)
    chosen = np.take_along_axis(offsets, distance.argmin(0)[None], 0)[0]
    chosen = np.where(hits[-1] > 0, chosen.clip(-_FAR, _FAR), 0.0)
    return tuple(map(float, 1 / (1 + np.exp(-chosen))))
