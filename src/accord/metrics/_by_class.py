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
        confusion: int64 [m, 3]: a true class, a predicted one, and how many rows have these; for
            those that any has, in order.
        none: what is said of what is of none of the classes, whose number is K then; '' where all
            is of one.

    Example:
        >>> each = ByClass.of(("ok", "fraud"), np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]))
        >>> each.precision.tolist(), each.recall.round(2).tolist(), each.support.tolist()
        ([1.0, 0.5], [0.67, 1.0], [3, 1])
    """

    labels: tuple[str, ...]
    confusion: Array
    none: str = ""

    @classmethod
    def of(
        cls, labels: Sequence[str], targets: Array, predictions: Array, none: str = ""
    ) -> ByClass:
        """Count class indices [n] beside predicted ones [n]."""
        import numpy as np

        base = len(labels) + 1
        pairs = targets.astype(np.int64) * base + predictions.astype(np.int64)
        cells, counts = np.unique(pairs, return_counts=True)
        return cls(tuple(labels), np.stack([*np.divmod(cells, base), counts], axis=1), none)

    @cached_property
    def support(self) -> Array:
        """Rows of each class, int64 [K]."""
        return self._rows(0)

    @cached_property
    def precision(self) -> Array:
        """Of the rows that are said to be of a class, the share that is, [K]."""
        import numpy as np

        return self._right / np.maximum(self._rows(1), 1)

    @cached_property
    def recall(self) -> Array:
        """Of a class's rows, the share that is said to be of it, [K]."""
        import numpy as np

        return self._right / np.maximum(self.support, 1)

    @cached_property
    def f1(self) -> Array:
        """The harmonic mean of both, [K]."""
        import numpy as np

        f1: Array = 2 * self._right / np.maximum(self.support + self._rows(1), 1)
        return f1

    @property
    def worst(self) -> list[int]:
        """All classes, that with the lowest F1 first; of equal ones that with more rows."""
        import numpy as np

        return [int(i) for i in np.lexsort((-self.support, self.f1))]

    def confused(self, most: int) -> list[tuple[str, str, int]]:
        """Return the most frequent errors: a true label, the one that it is taken for, rows."""
        import numpy as np

        wrong = self.confusion[self.confusion[:, 0] != self.confusion[:, 1]]
        order = np.argsort(-wrong[:, 2], kind="stable")[:most]
        return [(self._names[i], self._names[j], int(rows)) for i, j, rows in wrong[order]]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object: figures by class, and of the confusion matrix, by true and by
        predicted class, what isn't 0."""
        names = ("precision", "recall", "f1")
        confusion: dict[str, dict[str, int]] = {}
        for true, predicted, rows in self.confusion.tolist():
            confusion.setdefault(self._names[true], {})[self._names[predicted]] = rows
        classes = {
            label: {
                **{name: float(getattr(self, name)[i]) for name in names},
                "support": int(self.support[i]),
            }
            for i, label in enumerate(self.labels)
        }
        return {"classes": classes, "confusion": confusion}

    @cached_property
    def _right(self) -> Array:
        return self._rows(0, self.confusion[:, 0] == self.confusion[:, 1])

    def _rows(self, side: int, cells: Array | slice = slice(None)) -> Array:
        """Add up some cells by their true class, 0, or their predicted one, 1."""
        import numpy as np

        of, counts = self.confusion[cells, side], self.confusion[cells, 2]
        sums = np.zeros(len(self._names), dtype=np.int64)
        np.add.at(sums, of, counts)
        return sums[: len(self.labels)]

    @property
    def _names(self) -> tuple[str, ...]:
        return (*self.labels, self.none)
