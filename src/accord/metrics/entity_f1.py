"""F1 of predicted entities against true ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accord.metrics import f1
from accord.metrics._metric import Metric

if TYPE_CHECKING:
    from accord.metrics._arrays import Array, Bools, Floats


def influence(predictions: Array, targets: Array) -> tuple[Floats, Floats]:
    """Return F1 over all entities, and rows' influence."""
    import numpy as np

    hits, predicted, wanted = entity_counts(predictions, targets)
    return f1.of_counts(hits.sum(-1, dtype=np.float64), (predicted.sum(-1) + wanted.sum(-1)) * 1.0)


def entity_counts(predictions: Array, targets: Array) -> tuple[Bools, Bools, Bools]:
    """Return where correctly predicted, predicted and true entities begin.

    Args:
        predictions: codes of words, [..., words]; those after a row's words don't matter.
        targets: likewise, with -1 behind a row's words.

    Returns:
        bool [..., words] each.
    """
    import numpy as np

    predictions = np.where(targets < 0, 0, predictions)
    (predicted, predicted_last), (wanted, wanted_last) = map(entity_places, (predictions, targets))
    same_type = (predictions + 1) // 2 == (targets + 1) // 2
    return predicted & wanted & same_type & (predicted_last == wanted_last), predicted, wanted


def entity_places(codes: Array) -> tuple[Bools, Array]:
    """Return where entities begin, and of each word of one the place of the entity's last word.

    Args:
        codes: of words, as `entity_f1` takes them, [..., words].

    Returns:
        bool and int64, [..., words] each.
    """
    import numpy as np

    inside, kind, width = codes > 0, (codes + 1) // 2, codes.shape[-1]
    joins = np.zeros(codes.shape, bool)  # to the word before
    goes_on = inside & (codes % 2 == 0)
    joins[..., 1:] = goes_on[..., 1:] & inside[..., :-1] & (kind[..., 1:] == kind[..., :-1])
    ends = np.ones(codes.shape, bool)
    ends[..., :-1] = ~joins[..., 1:]
    last = np.where(ends, np.arange(width), width)
    return inside & ~joins, np.minimum.accumulate(last[..., ::-1], -1)[..., ::-1]


def entity_f1(predictions: Array, targets: Array) -> float:
    """Return F1 = 2PR / (P + R) over all entities: right is one of the same words and type.

    *Source:* Tjong Kim Sang & Buchholz 2000, Introduction to the CoNLL-2000 shared task: Chunking,
    whose script seqeval follows.

    Args:
        predictions: codes of words, [n, words]: 0 in no entity, 2t + 1 where one of type t begins,
            2t + 2 where it goes on, or begins as the word before is in none of that type.
        targets: likewise; -1 behind a row's words.

    Example:
        >>> import numpy as np
        >>> entity_f1(np.array([[1, 2, 0], [3, 0, 0]]), np.array([[1, 2, -1], [1, 0, 3]]))
        0.4
    """
    return float(influence(predictions, targets)[0])


def constant(targets: Array) -> Array:
    """Return the best code for all words: mostly 0."""
    import numpy as np

    values = [
        entity_f1(np.full_like(targets, code), targets) for code in range(int(targets.max()) + 2)
    ]
    return np.asarray(int(np.argmax(values)))


METRIC = Metric(
    entity_f1,
    of="entities",
    meaning="F1 over all entities, of words",
    title="entity F1",
    influence=influence,
    constant=constant,
)
