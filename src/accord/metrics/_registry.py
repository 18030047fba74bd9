"""Which metrics there are, by their files."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from accord.errors import UsageError, nearest
from accord.metrics._metric import Form, Metric
from accord.registered import registered


@cache
def metric_names() -> tuple[str, ...]:
    """Return the names of all metrics."""
    return tuple(name.replace("-", "_") for name in registered("metrics"))


def get_metric(name: str) -> Metric:
    """Return a metric by its name.

    Raises:
        UsageError: if there is none of that name.
    """
    if name not in metric_names():
        raise UsageError(f"unknown metric '{name}'{nearest(name, metric_names())}")
    metric: Metric = import_module(f"accord.metrics.{name}").METRIC
    return metric


def all_metrics(*forms: Form) -> tuple[Metric, ...]:
    """Return the metrics of some forms of predictions, or all."""
    metrics = (get_metric(name) for name in metric_names())
    return tuple(metric for metric in metrics if not forms or {*metric.forms} & {*forms})
