"""Metrics, one per file: how good predictions are.

    metric(predictions, targets) -> a figure, the higher the better

A file of this folder has one of its own name and ends in `METRIC`: with the form of predictions
that it compares, its range, and, where there are better ways than the usual ones, each row's
influence on it and its best constant prediction. Config, kinds, results, intervals and tests find
it from there.

Scikit-learn, scipy and numpy take long to import, and a config asks for names alone: each function
imports what it needs.
"""

from __future__ import annotations

from accord.metrics._by_class import ByClass
from accord.metrics._constant import Constant
from accord.metrics._crossfit import LEAST_ROWS, crossfit_value, influence
from accord.metrics._metric import Form, Metric
from accord.metrics._overall import Score, cs224n_score, mean_score, overall_score
from accord.metrics._registry import all_metrics, get_metric, metric_names

__all__ = [
    "LEAST_ROWS", "ByClass", "Constant", "Form", "Metric", "Score", "all_metrics", "crossfit_value",
    "cs224n_score", "get_metric", "influence", "mean_score", "metric_names", "overall_score",
]  # fmt: skip
