"""Figures of held-out rows: no choice of the model that predicts a row has seen that row.

Where the test rows have labels they are held out. Else dev is cross-fitted: what is chosen on one
half of its rows predicts the other half, both ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from accord.errors import RunFolderError
from accord.evaluation.half_metrics import weighted_halves
from accord.evaluation.metrics import CORRELATIONS, metric_value

Array = npt.NDArray[np.float64]
ON_TEST, ON_DEV = "test", "dev, cross-fitted"


def crossfit_value(
    metric: str,
    labels: Array,
    predictions: Array,
    halves: npt.NDArray[np.int8],
    positive: int | None = None,
) -> float:
    """Return the metric of predictions whose halves come from two choices.

    Accuracy and F1 are computed over both halves at once. Two epochs' values of a regression may
    differ in scale and offset, which a correlation over all rows would take for error, so
    correlations are computed within each half:

        m = Σ_h (n_h / Σ n_h) m_h, h the halves that have at least two rows,

    and 0 if there is none. Labelled test rows, which one model predicts, are one half.

    *Source:* Stone 1974, Cross-validatory choice and assessment of statistical predictions, for
    choosing and assessing on different rows; Chernozhukov et al. 2018, Double/debiased machine
    learning, for the two folds that change places, and their name.

    Args:
        metric: a name in `accord.evaluation.metrics.METRICS`.
        labels: class indices or values [n].
        predictions: likewise [n].
        halves: 0 or 1 [n].
        positive: the class whose F1 is meant; default 1.

    Raises:
        UsageError: no rows, or arrays of different shapes.

    Example:
        >>> labels, halves = np.array([1.0, 2.0, 1.0, 2.0]), np.array([0, 0, 1, 1], dtype=np.int8)
        >>> crossfit_value("pearson", labels, np.array([1.0, 2.0, 11.0, 12.0]), halves)
        1.0
    """
    if metric not in CORRELATIONS or len(np.unique(halves)) < 2:
        return metric_value(metric, predictions, labels, positive)
    return sum(
        (
            weight * metric_value(metric, predictions[rows], labels[rows], positive)
            for rows, weight in weighted_halves(halves)
        ),
        start=0.0,
    )


def require_heldout(folder: Path, results: Mapping[str, Any]) -> None:
    """Check that a finished run has held-out figures.

    Raises:
        RunFolderError: if it was made before there were any.
    """
    if "heldout" not in results:
        raise RunFolderError(
            f"{folder}: has no held-out figures: it was made by an earlier version; run it again"
        )
