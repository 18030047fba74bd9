"""The difference of two sets of runs on a metric, with its variance over seeds and over rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from accord.errors import UsageError
from accord.metrics import get_metric, influence
from accord.statistics.components import (
    LEAST_SHARE,
    Components,
    components,
    seed_freedom,
    seed_variance,
)
from accord.statistics.quantile import half_width, p_value

Array = npt.NDArray[np.float64]
Degenerate = Literal["", "identical predictions", "constant difference"]

LEVEL = 0.95
_ZERO = 1e-24  # a standard error of 1e-12 is rounding


@dataclass(frozen=True)
class Side:
    """Runs that differ in their seed alone.

    Attributes:
        seeds: of the runs, each once.
        predictions: [S, n], [S, n, classes] of probabilities, or [S, n, labels].
        halves: the cross-fitting half of each prediction, [S, n]; None where there are none.
    """

    seeds: tuple[int, ...]
    predictions: npt.NDArray[Any]
    halves: npt.NDArray[Any] | None = None

    def __post_init__(self) -> None:
        shape = self.predictions.shape[:2]
        if len(shape) != 2 or shape[0] != len(self.seeds) or not self.seeds:
            raise UsageError(
                f"predictions of {len(self.seeds)} seeds should be [seeds, rows] with at least one"
                f" seed, got {shape}"
            )
        if len(set(self.seeds)) < len(self.seeds):
            raise UsageError(f"a side has a seed twice: {', '.join(map(str, self.seeds))}")
        if self.halves is not None and self.halves.shape != shape:
            raise UsageError(
                f"halves should be {shape} as predictions are, got {self.halves.shape}"
            )


@dataclass(frozen=True)
class Difference:
    """Ours minus theirs: the mean over all our runs minus the mean over all of theirs.

    Attributes:
        value: the estimate.
        seed_variance: its variance over seeds; 0 where it is not known.
        row_variance: its variance over rows, without what seeds and rows have together; with it
            where the seeds' part is not known.
        interaction_variance: the variance of seeds and rows together, a part of `seed_variance`.
        seed_freedom: degrees of freedom of `seed_variance`.
        row_freedom: of `row_variance`.
        our_seeds: of our runs.
        their_seeds: likewise; empty where their side is a constant prediction.
        ours: the metric of each of our runs.
        theirs: likewise.
        rows: how many; of a mean over tasks, of all of them together.
        degenerate: why both variances are 0, or ''.
    """

    value: float
    seed_variance: float
    row_variance: float
    interaction_variance: float
    seed_freedom: float
    row_freedom: float
    our_seeds: tuple[int, ...]
    their_seeds: tuple[int, ...]
    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    rows: int
    degenerate: Degenerate = ""

    @property
    def seeds_known(self) -> bool:
        """Whether there are runs enough, two on each side, to know the variance over seeds."""
        return len(self.ours) > 1 and (len(self.theirs) > 1 or not self.their_seeds)

    @property
    def pairs(self) -> int:
        """How many seeds the sides share."""
        return len(set(self.our_seeds) & set(self.their_seeds))

    @property
    def error(self) -> float:
        """The standard error of the value."""
        return math.sqrt(self.seed_variance + self.row_variance)

    @property
    def p(self) -> float:
        """Two-sided p; over rows alone where `seeds_known` is false."""
        return p_value(self.value, *self._parts)

    def margin(self, level: float = LEVEL) -> float:
        """Half the width of the interval of a level; see `accord.statistics.quantile`."""
        return float(half_width(1 - level, *self._parts))

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """The two-sided interval; over rows alone where `seeds_known` is false."""
        margin = self.margin(level)
        return self.value - margin, self.value + margin

    def lower(self, level: float = LEVEL) -> float:
        """The end of the one-sided interval of a level that is open upward."""
        return self.value - self.margin(2 * level - 1)

    @property
    def _parts(self) -> tuple[float, float, float, float]:
        return self.seed_variance, self.seed_freedom, self.row_variance, self.row_freedom


def difference(
    metric: str, labels: npt.NDArray[Any], ours: Side, theirs: Side, positive: int | None = None
) -> Difference:
    """Compare two sides by all of their runs, on the same rows.

    A metric other than accuracy enters by each row's influence on it, run by run
    (`accord.metrics.influence`); the variances are those of `accord.statistics.components`.
    Seeds may be the same on both sides, partly, or not at all. With one run on either side only
    the rows' part is known.

    Args:
        metric: its name.
        labels: class indices or values, [n]; or label sets, [n, labels].
        ours: our runs.
        theirs: theirs.
        positive: the class whose F1 is meant; default 1.

    Raises:
        UsageError: an unknown metric, or arrays that do not fit.

    Example:
        >>> labels = np.array([0, 1] * 50)
        >>> right, wrong = np.arange(100) < 80, np.arange(100) < 70
        >>> ours = Side((0, 1), np.stack([labels, np.where(right, labels, 1 - labels)]))
        >>> theirs = Side((0, 1), np.stack([np.where(wrong, labels, 1 - labels), labels]))
        >>> found = difference("accuracy", labels, ours, theirs)
        >>> round(found.value, 3), found.pairs, found.seed_freedom
        (0.05, 2, 1.0)
    """
    _check(labels, ours)
    _check(labels, theirs)
    a, b = _values(metric, labels, ours, positive), _values(metric, labels, theirs, positive)
    difference = _estimated(a, b, ours.seeds, theirs.seeds)
    return _marked(difference, _identical(ours, theirs))


def against_constant(
    metric: str, labels: npt.NDArray[Any], side: Side, positive: int | None = None
) -> Difference:
    """Compare a side with the best constant prediction on the same rows.

    The constant has no seeds; it has its rows, which are the side's. The side has learnt
    something where `found.lower(0.95)` is above 0. The constant is chosen on these rows, in its
    own favour, so that the test errs on the cautious side.

    Args:
        metric: its name.
        labels: class indices or values, [n]; or label sets, [n, labels].
        side: the runs.
        positive: the class whose F1 is meant; default 1.

    Raises:
        UsageError: an unknown metric, or arrays that do not fit.

    Example:
        >>> labels = np.array([0, 1] * 50)
        >>> side = Side((0, 1), np.stack([labels, labels]))
        >>> against_constant("accuracy", labels, side).lower() > 0
        True
    """
    _check(labels, side)
    a = _values(metric, labels, side, positive)
    predictions = get_metric(metric).best_constant(labels, positive).predictions
    b = _values(metric, labels, Side((0,), predictions[None]), positive)
    difference = _estimated(a, b, side.seeds, ())
    return _marked(difference, _same(side.predictions, predictions))


def mean_difference(parts: Sequence[Difference]) -> Difference:
    """Return the difference of the mean of several tasks' metrics, by the same runs.

    Tasks' rows are drawn apart, so V_R = Σ V_R,t / T² and likewise V_E; the seed part is that of
    each run's mean over the tasks. The rows' degrees of freedom are Satterthwaite's.

    Args:
        parts: one for each task.

    Raises:
        UsageError: no task, or tasks by other runs.
    """
    if len({(part.our_seeds, part.their_seeds) for part in parts}) != 1:
        raise UsageError("the mean over tasks needs the same runs, by seed, for each of them")
    first, count = parts[0], len(parts)
    ours = np.array([part.ours for part in parts]).mean(0)
    theirs = np.array([part.theirs for part in parts]).mean(0)
    rows = np.array([part.row_variance for part in parts]) / count**2
    under = float((rows**2 / np.array([part.row_freedom for part in parts])).sum())
    total = float(rows.sum())
    row_freedom = total**2 / under if under > 0 else first.row_freedom
    interaction = math.fsum(part.interaction_variance for part in parts) / count**2
    seed, freedom = _over_seeds(ours, theirs, first.our_seeds, first.their_seeds)
    mean = _made(
        ours, theirs, first.our_seeds, first.their_seeds, sum(part.rows for part in parts),
        Components(
            np.maximum(seed, LEAST_SHARE * interaction if first.seeds_known else 0.0),
            np.asarray(total), np.asarray(interaction), freedom, row_freedom,
        ),
    )  # fmt: skip
    return _marked(mean, all(part.degenerate == "identical predictions" for part in parts))


def _check(labels: npt.NDArray[Any], side: Side) -> None:
    if not labels.ndim or side.predictions.shape[1:2] != labels.shape[:1]:
        raise UsageError(
            f"predictions should be [seeds, {len(labels)}] for as many labels, got"
            f" {side.predictions.shape}"
        )


def _values(metric: str, labels: npt.NDArray[Any], side: Side, positive: int | None) -> Array:
    """Each run's metric plus each row's influence on it, [S, n]: their mean is the metric."""
    halves = [None] * len(side.seeds) if side.halves is None else side.halves
    each = [
        influence(metric, labels, predictions, half, positive)
        for predictions, half in zip(side.predictions, halves, strict=True)
    ]
    return np.stack([value + values for value, values in each])


def _estimated(a: Array, b: Array, ours: tuple[int, ...], theirs: tuple[int, ...]) -> Difference:
    means, rows = (a.mean(1), b.mean(1)), a.shape[1]
    if len(a) > 1 and len(b) > 1:
        return _made(*means, ours, theirs, rows, components(a, b, _shared(ours, theirs)))
    if len(a) > 1 and not theirs:
        # Two of the same constant: no variance over seeds of its own, and n1 − 1 degrees are left.
        parts = components(a, np.concatenate([b, b]), ())
        return _made(*means, ours, theirs, rows, parts)
    row = float((a.mean(0) - b.mean(0)).var(ddof=1)) / rows if rows > 1 else 0.0
    zero = np.zeros(())
    alone = Components(zero, np.asarray(row), zero, np.ones(()), max(rows - 1.0, 1.0))
    return _made(*means, ours, theirs, rows, alone)


def _over_seeds(
    ours: Array, theirs: Array, our_seeds: tuple[int, ...], their_seeds: tuple[int, ...]
) -> tuple[Array, Array]:
    """The variance over seeds of runs' metrics, and its degrees of freedom."""
    if len(ours) < 2 or (their_seeds and len(theirs) < 2):
        return np.zeros(()), np.ones(())
    if not their_seeds:
        theirs = np.repeat(theirs, 2)
    pairs = _shared(our_seeds, their_seeds)
    return seed_variance(ours, theirs, pairs), seed_freedom(ours, theirs, pairs)


def _made(
    ours: Array, theirs: Array, our_seeds: tuple[int, ...], their_seeds: tuple[int, ...],
    rows: int, parts: Components,
) -> Difference:  # fmt: skip
    return Difference(
        float(ours.mean() - theirs.mean()), float(parts.seed), float(parts.row),
        float(parts.interaction), float(parts.seed_freedom), parts.row_freedom,
        our_seeds, their_seeds, tuple(map(float, ours)), tuple(map(float, theirs)), rows,
    )  # fmt: skip


def _marked(difference: Difference, identical: bool) -> Difference:
    """Name why there is no variance; rounding's remains become 0."""
    if identical and abs(difference.value) < math.sqrt(_ZERO):
        return replace(
            difference, value=0.0, seed_variance=0.0, row_variance=0.0, interaction_variance=0.0,
            degenerate="identical predictions",
        )  # fmt: skip
    if difference.seed_variance + difference.row_variance > _ZERO:
        return difference
    value = 0.0 if abs(difference.value) < math.sqrt(_ZERO) else difference.value
    return replace(
        difference,
        value=value,
        seed_variance=0.0,
        row_variance=0.0,
        degenerate="constant difference",
    )


def _identical(ours: Side, theirs: Side) -> bool:
    """Whether all runs of both sides predict the same, or each run what that of its seed does."""
    if set(ours.seeds) != set(theirs.seeds):
        every = np.concatenate([ours.predictions, theirs.predictions])
        return _same(every, every[:1])
    order = [j for _, j in _shared(ours.seeds, theirs.seeds)]
    return _same(ours.predictions, theirs.predictions[order])


def _same(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    """Whether predictions are equal; NaN, behind rows with fewer of them, is itself."""
    one, other = np.broadcast_arrays(one, other)
    return np.array_equal(one, other, equal_nan=True)


def _shared(ours: tuple[int, ...], theirs: tuple[int, ...]) -> list[tuple[int, int]]:
    places = {seed: j for j, seed in enumerate(theirs)}
    return [(i, places[seed]) for i, seed in enumerate(ours) if seed in places]
