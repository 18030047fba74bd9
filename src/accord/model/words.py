"""Losses of examples that have logits for each of a varying number of words.

Logits are [n, words, C], -inf behind an example's words. A word that the model doesn't see, as it
is cut off or the tokenizer makes nothing of it, has 0 for the tag that stands outside all entities
and -inf for the others: surely that tag, and no part of a loss.
"""

from __future__ import annotations

from torch import Tensor

from accord.model import losses


def unseen_word(like: Tensor, outside: int) -> Tensor:
    """Return the logits of a word that the model doesn't see, [C], C and device as `like` has."""
    logits = like.new_full(like.shape[-1:], float("-inf"))
    logits[outside] = 0.0
    return logits


def behind(logits: Tensor) -> Tensor:
    """Return which words there aren't, bool [n, words]."""
    return (logits == float("-inf")).all(2)


def seen(logits: Tensor, outside: int) -> Tensor:
    """Return which words have logits of the model's, bool [n, words]."""
    return ~(behind(logits) | (logits == unseen_word(logits, outside)).all(2))


def cross_entropy(logits: Tensor, tags: Tensor, outside: int, smoothing: float = 0.0) -> Tensor:
    """Return the mean of `losses.cross_entropy` over each example's words that the model sees, [n].

    Args:
        logits: [n, words, C].
        tags: indices, [n, words]; -1 behind an example's words.
        outside: the tag of words that the model doesn't see.
        smoothing: ε, in [0, 1).
    """
    counted = seen(logits, outside)
    known = _known(logits, counted).flatten(0, 1)
    each = losses.cross_entropy(known, tags.clamp(min=0).flatten(), smoothing)
    return _mean(each.view(counted.shape), counted & (tags >= 0))


def divergence(one: Tensor, other: Tensor, outside: int) -> Tensor:
    """Return the mean of `losses.symmetric_kl` over each example's words that the model sees, [n],
    never below 0."""
    counted = seen(one, outside) & seen(other, outside)
    words = (_known(logits, counted).flatten(0, 1) for logits in (one, other))
    return _mean(losses.symmetric_kl(*words).view(counted.shape), counted)


def _known(logits: Tensor, counted: Tensor) -> Tensor:
    """Return logits with 0 for words that don't count: their gradient would be no number."""
    return logits.where(counted[..., None], logits.new_zeros(()))


def _mean(values: Tensor, counted: Tensor) -> Tensor:
    """Return the mean of each row's values that count, [n]; 0 where none does."""
    sums = values.where(counted, values.new_zeros(())).sum(1)
    return sums / counted.sum(1).clamp(min=1)
