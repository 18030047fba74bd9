"""A prediction that never looks at the text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from accord.metrics._arrays import Array


def _no_rows() -> Array:
    import numpy as np

    return np.zeros(0)


@dataclass(frozen=True)
class Constant:
    """A constant prediction.

    Attributes:
        value: its metric.
        label: the class index; None where it is no class.
        predictions: of each row, [n], [n, classes] of probabilities, or [n, labels].
        every: whether any other constant is as good.
    """

    value: float
    label: int | None
    predictions: Array = field(default_factory=_no_rows, repr=False, compare=False)
    every: bool = field(default=True, repr=False)

    def name(self, labels: Sequence[str]) -> str:
        """Return its name in tables: the label that it always predicts."""
        return "a constant" if self.label is None else f"always '{labels[self.label]}'"

    def remark(self, metric: str, value: float, labels: Sequence[str]) -> str:
        """Return the warning for a figure that is no better than this; empty for a better one.

        Example:
            >>> Constant(0.75, 1).remark("accuracy", 0.75, ["fraud", "ok"])
            "accuracy 0.7500 is no better than always saying 'ok'"
        """
        if value > self.value:
            return ""
        constant = "any constant" if self.every else "the best constant"
        if self.label is not None:
            constant = f"always saying '{labels[self.label]}'"
        return f"{metric} {value:.4f} is no better than {constant}"


def usual_constant(of: str, targets: Array) -> Array:
    """Return the constant that most metrics of a form like best.

    It is the class, tag or label set that occurs most, of several the first; of probabilities the
    classes' shares; of values their mean; of scores the same for all candidates, whose order is
    chance then.
    """
    import numpy as np

    if of == "scores":
        return np.where(np.isnan(targets), np.nan, 0.0)
    if of == "label_sets":
        sets, times = np.unique(targets, axis=0, return_counts=True)
        return np.asarray(sets[times.argmax()])
    if of == "tags":
        targets = targets[targets >= 0]
    if of in ("values", "losses"):
        return np.asarray(targets.mean())
    counts = np.bincount(targets.astype(np.int64), minlength=2)
    return np.asarray(
        counts.argmax() if of in ("classes", "ranks", "tags") else counts / len(targets)
    )
