"""Which metrics there are, and how a file registers one."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from accord.errors import UsageError, nearest
from accord.metrics._metric import Form, Influence, Metric, Value
from accord.registered import registered

_METRICS: dict[str, Metric] = {}


def metric(
    *,
    of: Form,
    meaning: str,
    title: str = "",
    lowest: float = 0.0,
    best: float = 1.0,
    one_class: bool = False,
    scale_free: bool = False,
    influence: Influence | None = None,
    constant: Callable[..., Any] | None = None,
) -> Callable[[Value], Value]:
    """Register a function, of its file's name, as a metric; arguments as `Metric`'s attributes."""

    def register(function: Value) -> Value:
        name = function.__name__
        _METRICS[name] = Metric(
            name, function, of, meaning, title or name, lowest, best, one_class, scale_free,
            influence, constant,
        )  # fmt: skip
        return function

    return register


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
    import_module(f"accord.metrics.{name}")
    return _METRICS[name]


def all_metrics(*forms: Form) -> tuple[Metric, ...]:
    """Return the metrics of some forms of predictions, or all."""
    metrics = (get_metric(name) for name in metric_names())
    return tuple(own for own in metrics if not forms or own.of in forms)
