"""One figure over all tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from accord.errors import UsageError, nearest
from accord.metrics._registry import get_metric

Score = Literal["mean", "cs224n"]


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
    """Return the mean of the tasks' metrics, each scaled to [0, 1]: a correlation r is (r + 1) / 2.

    A metric without a lowest value stays as it is.

    With accuracy for SST and Quora and Pearson's r for STS this is the course's overall score,
    (SST + Quora + (r + 1) / 2) / 3.

    *Source:* the default final project of Stanford's CS 224N.

    Args:
        values: each task's metric.
        metrics: the name of each task's metric.

    Raises:
        UsageError: no task, or an unknown metric.

    Example:
        >>> names = {"sst": "accuracy", "quora": "accuracy", "sts": "pearson"}
        >>> cs224n_score({"sst": 0.5, "quora": 0.75, "sts": 0.5}, names)
        0.6666666666666666
    """
    return mean_score({task: _share(metrics[task], value) for task, value in values.items()})


def _share(metric: str, value: float) -> float:
    declared = get_metric(metric)
    span = declared.best - declared.lowest
    return (value - declared.lowest) / span if math.isfinite(span) else value


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
