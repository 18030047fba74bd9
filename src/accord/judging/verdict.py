"""Whether two ways to train differ on a task: paired over seeds and over dev rows.

A difference has two sources of chance: which seeds were run, and which rows happen to be the dev
split. Both are in the interval. The row part is bootstrapped; the seed part is Student's, as five
seeds are too few to bootstrap: where seeds are all that varies, resampling five gives an interval
of 1.96 √(4/5) = 1.75 standard errors, where Student's has 2.78.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from accord.errors import UsageError, nearest
from accord.judging.metrics import METRICS

Array = npt.NDArray[np.float64]
Word = Literal["better", "worse", "no difference shown", "not enough runs"]

LEAST_SEEDS = 5
LEVEL = 0.95
_DRAWS = 1000
_BATCH_ELEMENTS = 4_000_000  # gathered at once: bounds memory


@dataclass(frozen=True)
class Difference:
    """Ours minus theirs.

    Attributes:
        value: mean over seeds of the difference of the metric.
        low: lower end of the interval at `LEVEL`.
        high: upper end.
        seeds: pairs of runs.
        rows: of the dev split.
        verdict: follows from the interval alone; with fewer than `LEAST_SEEDS` there is none.
            With one seed the interval is over dev rows alone.
        each: the difference of each pair of runs.
        rows_error: standard error of the value over dev rows.
    """

    value: float
    low: float
    high: float
    seeds: int
    rows: int
    verdict: Word
    each: tuple[float, ...] = ()
    rows_error: float = 0.0


def difference(
    metric: str, labels: Array, ours: Array, theirs: Array, *, classes: int | None = None,
    draws: int = _DRAWS,
) -> Difference:  # fmt: skip
    """Compare two ways to train.

    With d_s the metric of our run s minus that of their run s, and S of each,

        value ± √((t_{S−1} · sd(d) / √S)² + (t_{n−1} · se_rows)²),

    where se_rows is the bootstrap's standard error of mean(d) over the n dev rows, the same rows
    for all runs. Spearman's ranks are those of the whole split, also within a resample.

    Each source has Student's quantile of its own, so that with few seeds the interval covers at
    least what it says; one quantile by Satterthwaite's degrees of freedom falls short with two.

    *Source:* the bootstrap is `scipy.stats.bootstrap`.

    Args:
        metric: its name in `accord.judging.metrics.METRICS`.
        labels: class indices or values, [n].
        ours: predictions of each of our runs, [S, n].
        theirs: likewise, by the same seeds in the same order, [S, n].
        classes: of a classification.
        draws: of the bootstrap.

    Raises:
        UsageError: an unknown metric, or arrays that don't fit.

    Example:
        >>> labels = np.array([0.0, 1.0] * 50)
        >>> found = difference("accuracy", labels, labels[None], 0 * labels[None])
        >>> found.value, found.verdict
        (0.5, 'not enough runs')
    """
    if metric not in METRICS:
        raise UsageError(f"unknown metric '{metric}'{nearest(metric, METRICS)}")
    if ours.shape != theirs.shape or ours.ndim != 2 or ours.shape[1:] != labels.shape:
        raise UsageError(
            f"predictions should be two arrays [runs, {len(labels)}], got {ours.shape},"
            f" {theirs.shape}"
        )
    seeds, rows = ours.shape
    features, finish = _parts(metric, labels, np.concatenate([ours, theirs]), classes)

    def per_seed(means: Array) -> Array:
        """[..., 2S, k] -> [..., S]"""
        values = finish(means)
        return values[..., :seeds] - values[..., seeds:]

    each = per_seed(features.mean(-1))
    rows_error = _rows_error(features, lambda means: per_seed(means).mean(-1), draws)
    return _judged(each, rows_error, rows)


def mean_difference(parts: Sequence[Difference]) -> Difference:
    """Return the difference of the mean of several tasks' metrics, by the same pairs of runs.

    The tasks' dev rows are drawn apart, so their errors add up as squares; over seeds the tasks'
    differences are averaged within each pair of runs first.

    Args:
        parts: of each task, all of as many pairs of runs.

    Raises:
        UsageError: if they are not of as many.
    """
    if len({own.seeds for own in parts}) != 1:
        raise UsageError("the tasks' differences are not of equally many runs")
    each = np.array([own.each for own in parts]).mean(0)
    error = math.sqrt(math.fsum(own.rows_error**2 for own in parts)) / len(parts)
    return _judged(each, error, min(own.rows for own in parts))


def _judged(each: Array, rows_error: float, rows: int) -> Difference:
    seeds = len(each)
    seeds_error = float(each.std(ddof=1)) / math.sqrt(seeds) if seeds > 1 else 0.0
    value = float(each.mean())
    margin = math.hypot(_quantile(seeds) * seeds_error, _quantile(rows) * rows_error)
    low, high = value - margin, value + margin
    verdict = word(low, high, seeds)
    return Difference(
        value, low, high, seeds, rows, verdict, tuple(float(own) for own in each), rows_error
    )


def word(low: float, high: float, seeds: int) -> Word:
    """Return the verdict that follows from an interval.

    Example:
        >>> word(0.01, 0.03, 5), word(-0.01, 0.03, 5), word(0.01, 0.03, 4)
        ('better', 'no difference shown', 'not enough runs')
    """
    if seeds < LEAST_SEEDS:
        return "not enough runs"
    if low > 0:
        return "better"
    return "worse" if high < 0 else "no difference shown"


def _quantile(count: int) -> float:
    from scipy.stats import t

    return float(t.ppf((1 + LEVEL) / 2, max(1, count - 1)))


def _rows_error(features: Array, statistic: Callable[[Array], Array], draws: int) -> float:
    """Return the bootstrap's standard error over rows of a statistic of features' means."""
    from scipy.stats import bootstrap

    rows = features.shape[-1]
    if rows < 2:
        return 0.0

    def resampled(index: npt.NDArray[np.int64], axis: int) -> Array:
        means = features[..., index].mean(axis)  # [2S, k, batch]
        return statistic(np.moveaxis(means, -1, 0))

    batch = max(1, _BATCH_ELEMENTS // features.size)
    found = bootstrap(
        (np.arange(rows),), resampled, n_resamples=draws, batch=batch, vectorized=True,
        method="percentile", rng=np.random.default_rng(0),
    )  # fmt: skip
    return float(found.standard_error)


def _parts(
    metric: str, labels: Array, predictions: Array, classes: int | None
) -> tuple[Array, Callable[[Array], Array]]:
    """Return what of each row a metric depends on by its mean alone, and the metric of the means.

    Returns:
        Features [runs, k, n], and a function [..., runs, k] -> [..., runs].
    """
    if metric == "accuracy":
        return (predictions == labels)[:, None].astype(np.float64), lambda means: means[..., 0]
    if metric == "f1":
        return _f1_parts(labels, predictions, classes)
    x, y = predictions, np.broadcast_to(labels, predictions.shape)
    if metric == "spearman":
        from scipy.stats import rankdata

        x, y = rankdata(x, axis=-1), rankdata(y, axis=-1)
    x = x - x.mean(-1, keepdims=True)
    y = y - y.mean(-1, keepdims=True)
    return np.stack([x, y, x * x, y * y, x * y], axis=1), _correlation


def _correlation(means: Array) -> Array:
    x, y, xx, yy, xy = np.moveaxis(means, -1, 0)
    spread = np.sqrt(np.clip(xx - x * x, 0, None) * np.clip(yy - y * y, 0, None))
    covariance = xy - x * y
    return np.asarray(
        np.divide(covariance, spread, out=np.zeros_like(covariance), where=spread > 0)
    )


def _f1_parts(
    labels: Array, predictions: Array, classes: int | None
) -> tuple[Array, Callable[[Array], Array]]:
    """F1 of class 1 for two classes, else the mean over the classes that occur."""
    count = classes or int(max(labels.max(), predictions.max(), 1)) + 1
    kept = [1] if count == 2 else range(count)
    hits = np.stack([(predictions == c) & (labels == c) for c in kept], axis=1)
    either = np.stack([(predictions == c) * 1.0 + (labels == c) for c in kept], axis=1)

    def finish(means: Array) -> Array:
        twice, sums = 2 * means[..., : len(kept)], means[..., len(kept) :]
        each = np.divide(twice, sums, out=np.zeros_like(twice), where=sums > 0)
        occurs = np.maximum((sums > 0).sum(-1), 1)
        return np.asarray(each.sum(-1) / occurs)

    return np.concatenate([hits.astype(np.float64), either], axis=1), finish
