"""Precision, recall and F1 of each class, and which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accord.metrics._arrays import Array


@dataclass(frozen=True, eq=False)
class ByClass:
    """How a model did on each class.

    A class that is never predicted has precision 0, one without rows recall 0, as scikit-learn has
    them with `zero_division=0`.

    Attributes:
        labels: the K classes.
        support: rows of each class, int64 [K].
        predicted: rows that are predicted to be of it, [K].
        right: those of these that are, [K].
        confusion: int64 [m, 3]: a true class, a predicted one, and how many rows have these; for
            those that any has, in order. None where a row has any number of classes: none of them
            is taken for another then.
        none: what is said of what is of none of the classes, whose number is K then; '' where all
            is of one.

    Example:
        >>> import numpy as np
        >>> each = ByClass.of(("ok", "fraud"), np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]))
        >>> each.precision.tolist(), each.recall.round(2).tolist(), each.support.tolist()
        ([1.0, 0.5], [0.67, 1.0], [3, 1])
    """

    labels: tuple[str, ...]
    support: Array
    predicted: Array
    right: Array
    confusion: Array | None = None
    none: str = ""

    @classmethod
    def of(
        cls, labels: Sequence[str], targets: Array, predictions: Array, none: str = ""
    ) -> ByClass:
        """Count class indices [n] beside predicted ones [n], or label sets [n, K] likewise."""
        import numpy as np

        targets, predictions = targets.astype(np.int64), predictions.astype(np.int64)
        if targets.ndim > 1:
            right = (targets & predictions).sum(0)
            return cls(tuple(labels), targets.sum(0), predictions.sum(0), right)
        base = len(labels) + 1
        support, predicted, right = (
            np.bincount(side, minlength=base)[: len(labels)]
            for side in (targets, predictions, targets[targets == predictions])
        )
        cells, counts = np.unique(targets * base + predictions, return_counts=True)
        confusion = np.stack([*np.divmod(cells, base), counts], axis=1)
        return cls(tuple(labels), support, predicted, right, confusion, none)

    @cached_property
    def precision(self) -> Array:
        """Of the rows that are said to be of a class, the share that is, [K]."""
        import numpy as np

        return self.right / np.maximum(self.predicted, 1)

    @cached_property
    def recall(self) -> Array:
        """Of a class's rows, the share that is said to be of it, [K]."""
        import numpy as np

        return self.right / np.maximum(self.support, 1)

    @cached_property
    def f1(self) -> Array:
        """The harmonic mean of both, [K]."""
        import numpy as np

        f1: Array = 2 * self.right / np.maximum(self.support + self.predicted, 1)
        return f1

    @property
    def worst(self) -> list[int]:
        """All classes, that with the lowest F1 first, of equal ones that with more rows; and last
        those without rows, whose F1 can only be 0."""
        import numpy as np

        return [int(i) for i in np.lexsort((-self.support, self.f1, self.support == 0))]

    def confused(self, most: int) -> list[tuple[str, str, int]]:
        """Return the most frequent errors: a true label, the one that it is taken for, rows."""
        import numpy as np

        if self.confusion is None:
            return []
        wrong = self.confusion[self.confusion[:, 0] != self.confusion[:, 1]]
        order = np.argsort(-wrong[:, 2], kind="stable")[:most]
        return [(self._names[i], self._names[j], int(rows)) for i, j, rows in wrong[order]]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object: figures by class, and of the confusion matrix, by true and by
        predicted class, what isn't 0."""
        names = ("precision", "recall", "f1")
        classes = {
            label: {
                **{name: float(getattr(self, name)[i]) for name in names},
                "support": int(self.support[i]),
            }
            for i, label in enumerate(self.labels)
        }
        if self.confusion is None:
            return {"classes": classes}
        confusion: dict[str, dict[str, int]] = {}
        for true, predicted, rows in self.confusion.tolist():
            confusion.setdefault(self._names[true], {})[self._names[predicted]] = rows
        return {"classes": classes, "confusion": confusion}

    @property
    def _names(self) -> tuple[str, ...]:
        return (*self.labels, self.none)
