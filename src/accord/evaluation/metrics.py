"""How good predictions are: one figure a task, and one over all tasks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from accord.errors import AccordError, UsageError, nearest

Array = npt.NDArray[Any]
Score = Literal["mean", "cs224n"]

CORRELATIONS = frozenset({"pearson", "spearman"})

# Scikit-learn and scipy take half a second to import, so each function imports its own.


def accuracy(predictions: Array, targets: Array) -> float:
    """Return the share of predictions that equal their target, in [0, 1].

    Args:
        predictions: class indices `[n]`.
        targets: class indices `[n]`.

    Raises:
        UsageError: no examples, or arrays of different shapes.

    Example:
        >>> accuracy(np.array([0, 1, 2, 2]), np.array([0, 1, 2, 0]))
        0.75
    """
    _check("accuracy", predictions, targets)
    return float(np.mean(predictions == targets))


def f1(predictions: Array, targets: Array, positive: int = 1) -> float:
    """Return F1 = 2PR / (P + R) of one class, P its precision, R its recall; 0 where both are.

    Args:
        predictions: class indices `[n]`.
        targets: class indices `[n]`.
        positive: the class.

    Raises:
        UsageError: no examples, or arrays of different shapes.

    Example:
        >>> f1(np.array([1, 1, 0, 0]), np.array([1, 0, 1, 0]))
        0.5
    """
    from sklearn.metrics import f1_score

    _check("f1", predictions, targets)
    return float(f1_score(targets == positive, predictions == positive, zero_division=0))


def macro_f1(predictions: Array, targets: Array) -> float:
    """Return the mean of the classes' F1, over those that stand in either array.

    Args:
        predictions: class indices `[n]`.
        targets: class indices `[n]`.

    Raises:
        UsageError: no examples, or arrays of different shapes.

    Example:
        >>> macro_f1(np.array([0, 0, 0, 0]), np.array([0, 0, 1, 2]))
        0.2222222222222222
    """
    from sklearn.metrics import f1_score

    _check("macro_f1", predictions, targets)
    return float(f1_score(targets, predictions, average="macro", zero_division=0))


def pearson(predictions: Array, targets: Array) -> float:
    """Return the linear correlation r = Σ(x−x̄)(y−ȳ) / √(Σ(x−x̄)² Σ(y−ȳ)²), in [−1, 1].

    A side that is constant, up to rounding, gives 0.0, and so do fewer than two examples: the
    formula is 0/0 there, but a collapsed head tells nothing about its targets, and a NaN would
    spoil the sum of metrics by which the best epoch is chosen.

    Args:
        predictions: numbers `[n]`.
        targets: numbers `[n]`.

    Raises:
        UsageError: no examples, or arrays of different shapes.
        AccordError: a number that isn't finite.

    Example:
        >>> round(pearson(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0])), 4)
        0.982
    """
    from scipy.stats import pearsonr

    return _correlation("pearson", pearsonr, predictions, targets)


def spearman(predictions: Array, targets: Array) -> float:
    """Return Pearson's r of the ranks, ties sharing their mean rank, in [−1, 1].

    Constant sides and fewer than two examples give 0.0, for the reason that `pearson` gives.

    Args:
        predictions: numbers `[n]`.
        targets: numbers `[n]`.

    Raises:
        UsageError: no examples, or arrays of different shapes.
        AccordError: a number that isn't finite.

    Example:
        >>> spearman(np.array([1.0, 2.0, 30.0]), np.array([1.0, 2.0, 4.0]))
        1.0
    """
    from scipy.stats import spearmanr

    return _correlation("spearman", spearmanr, predictions, targets)


METRICS: dict[str, Callable[[Array, Array], float]] = {
    "accuracy": accuracy,
    "f1": f1,
    "macro_f1": macro_f1,
    "pearson": pearson,
    "spearman": spearman,
}


def metric_value(
    name: str, predictions: Array, targets: Array, positive: int | None = None
) -> float:
    """Return one metric by its name.

    Args:
        name: in `METRICS`.
        predictions: class indices or numbers `[n]`.
        targets: likewise.
        positive: the class whose F1 is meant; default 1.

    Raises:
        UsageError: no examples, or arrays of different shapes.
    """
    if name == "f1" and positive is not None:
        return f1(predictions, targets, positive)
    return METRICS[name](predictions, targets)


def mean_score(values: Mapping[str, float]) -> float:
    """Return the plain mean of the tasks' metrics.

    Raises:
        UsageError: no task.

    Example:
        >>> mean_score({"sst": 0.5, "quora": 0.75})
        0.625
    """
    if not values:
        raise UsageError("an overall score needs at least one task")
    return math.fsum(values.values()) / len(values)


def cs224n_score(values: Mapping[str, float], metrics: Mapping[str, str]) -> float:
    """Return the mean of the tasks' metrics, a correlation r counting as (r + 1) / 2.

    With accuracy for SST and Quora and Pearson's r for STS this is the course's overall score,
    (SST + Quora + (r + 1) / 2) / 3.

    *Source:* the default final project of Stanford's CS 224N.

    Args:
        values: each task's metric.
        metrics: each task's metric's name in `METRICS`.

    Raises:
        UsageError: no task.

    Example:
        >>> names = {"sst": "accuracy", "quora": "accuracy", "sts": "pearson"}
        >>> cs224n_score({"sst": 0.5, "quora": 0.75, "sts": 0.5}, names)
        0.6666666666666666
    """
    return mean_score(
        {
            task: (value + 1) / 2 if metrics[task] in CORRELATIONS else value
            for task, value in values.items()
        }
    )


def overall_score(kind: Score, values: Mapping[str, float], metrics: Mapping[str, str]) -> float:
    """Return one figure over all tasks: `mean_score` or `cs224n_score`, as `kind` says.

    Raises:
        UsageError: no task, or an unknown kind.
    """
    if kind == "mean":
        return mean_score(values)
    if kind == "cs224n":
        return cs224n_score(values, metrics)
    raise UsageError(f"unknown score '{kind}'{nearest(kind, ('mean', 'cs224n'))}")


def _check(name: str, predictions: Array, targets: Array) -> None:
    if predictions.shape != targets.shape or predictions.ndim != 1:
        raise UsageError(
            f"{name}: predictions and targets should be two lists of like length, "
            f"got shapes {predictions.shape} and {targets.shape}"
        )
    if predictions.size == 0:
        raise UsageError(f"{name}: there are no examples to evaluate by")


def _correlation(
    name: str, correlate: Callable[[Array, Array], Any], predictions: Array, targets: Array
) -> float:
    _check(name, predictions, targets)
    x, y = predictions.astype(np.float64), targets.astype(np.float64)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise AccordError(f"{name}: a prediction or target is not a finite number")
    if is_constant(x) or is_constant(y):
        return 0.0
    return float(correlate(x, y).statistic)


def is_constant(x: Array) -> npt.NDArray[np.bool_]:
    """Return whether x varies so little along its last axis that r would be mere rounding.

    Example:
        >>> bool(is_constant(np.array([1.0, 1.0 + 1e-13])))
        True
    """
    x = np.asarray(x, dtype=np.float64)
    return np.asarray(np.ptp(x, axis=-1) <= 1e-11 * np.abs(x).max(-1))
