"""How many words are tagged correctly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accord.metrics._metric import Metric

if TYPE_CHECKING:
    from accord.metrics._arrays import Array, Floats


def influence(predictions: Array, targets: Array) -> tuple[Floats, Floats]:
    """Return the share of words that are predicted correctly, and rows' influence.

    With h_i of a row's w_i words right, ψ_i = (n − 1) (h_i W − w_i H) / (W (W − w_i)), centred.
    """
    import numpy as np

    from accord.metrics._arrays import quotient

    is_word = targets >= 0
    hit = (is_word & (predictions == targets)).sum(-1, dtype=np.float64)
    words = is_word.sum(-1, dtype=np.float64)
    hits, every = hit.sum(-1, keepdims=True), words.sum(-1, keepdims=True)
    each = (hit.shape[-1] - 1) * quotient(hit * every - words * hits, every * (every - words))
    return quotient(hits, every)[..., 0], each - each.mean(-1, keepdims=True)


def word_accuracy(predictions: Array, targets: Array) -> float:
    """Return the share of words whose tag is predicted correctly.

    Args:
        predictions: indices of tags, [n, words].
        targets: likewise; -1 behind a row's words.

    Example:
        >>> import numpy as np
        >>> word_accuracy(np.array([[1, 2, 0], [3, 0, 0]]), np.array([[1, 2, -1], [1, 0, 3]]))
        0.6
    """
    return float(influence(predictions, targets)[0])


METRIC = Metric(
    word_accuracy,
    of="tags",
    meaning="the share of words that are predicted correctly",
    title="word accuracy",
    influence=influence,
)
