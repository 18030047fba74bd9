"""Losses of examples that have a score for each of a varying number of candidates.

Scores are [n, most], -inf behind an example's candidates. All losses are an example at a time.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def listwise(scores: Tensor, grades: Tensor) -> Tensor:
    """Return −Σ p_i log q_i, p = softmax(grades), q = softmax(scores) over an example's candidates.

    *Source:* Cao et al. 2007, Learning to rank: from pairwise approach to listwise approach,
    equation 4, with the top-one probabilities of its section 4 (ListNet).

    Args:
        scores: [n, most].
        grades: likewise; what stands behind an example's candidates doesn't matter.
    """
    present = scores != -torch.inf
    wanted = grades.masked_fill(~present, -torch.inf).softmax(1)
    return -(wanted * _log_softmax(scores, present)).sum(1)


def pairwise(scores: Tensor, grades: Tensor) -> Tensor:
    """Return the mean of log(1 + exp(s_j − s_i)) over the pairs of which i has the better grade.

    *Source:* Burges et al. 2005, Learning to rank using gradient descent, equation 3, with the
    target 1 (RankNet). An example without such a pair has the loss 0.

    Args:
        scores: [n, most].
        grades: likewise; NaN behind an example's candidates.
    """
    better = grades[:, :, None] > grades[:, None, :]
    losses = F.softplus(-_differences(scores)) * better
    return losses.sum((1, 2)) / better.sum((1, 2)).clamp(min=1)


def choice(scores: Tensor, right: Tensor) -> Tensor:
    """Return -log softmax(scores)[right]; right [n] is the index of a candidate."""
    return F.cross_entropy(scores, right.long(), reduction="none")


def listwise_divergence(one: Tensor, other: Tensor) -> Tensor:
    """Return KL(p‖q) + KL(q‖p) of the softmaxes of two passes' scores, [n], never below 0."""
    present = one != -torch.inf
    p, q = _log_softmax(one, present), _log_softmax(other, present)
    return ((p.exp() - q.exp()) * (p - q) * present).sum(1)


def pairwise_divergence(one: Tensor, other: Tensor) -> Tensor:
    """Return KL(p‖q) + KL(q‖p) of which candidate of a pair is better, its mean over pairs, [n]."""
    a, b = _differences(one), _differences(other)
    present = one != -torch.inf
    pairs = (present[:, :, None] & present[:, None, :]).triu(1)
    apart = (a.sigmoid() - b.sigmoid()) * (a - b) * pairs
    return apart.sum((1, 2)) / pairs.sum((1, 2)).clamp(min=1)


def _log_softmax(scores: Tensor, present: Tensor) -> Tensor:
    """Return the logarithms of scores' softmax, with 0 behind an example's candidates: −inf times a
    share of 0 is no number."""
    return scores.log_softmax(1).masked_fill(~present, 0.0)


def _differences(scores: Tensor) -> Tensor:
    """Return s_i − s_j for each pair of candidates, [n, most, most]; 0 where there aren't two."""
    present = scores != -torch.inf
    known = scores.masked_fill(~present, 0.0)
    return (known[:, :, None] - known[:, None, :]) * (present[:, :, None] & present[:, None, :])
