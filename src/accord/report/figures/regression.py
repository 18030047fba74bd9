"""Predicted values against true ones."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure as Canvas

from accord.evaluation.metrics import pearson
from accord.report.figures.drawing import COLOURS, GREY, blank, draw, shown
from accord.report.figures.series import choose
from accord.report.page import Figure
from accord.report.record import Predictions

MOST_POINTS = 1_500
"""More would take the file above 300 KiB."""
_LABEL_POINTS = 200.0  # of a line beside the axes


def predicted_against_true(name: str, title: str, predictions: Predictions) -> Figure:
    """Draw one dot per row: true value, predicted value.

    Args:
        name: a slug.
        title: of the figure.
        predictions: of a regression.

    Raises:
        ValueError: if they are a classification's.
    """
    task = predictions.task
    if predictions.probabilities is not None:
        raise ValueError(f"predicted against true: '{task.name}' is a classification")
    if not predictions.ids:
        return blank(name, title, "There are no dev rows.")
    x, y = predictions.labels, predictions.predicted
    drawn = choose(len(x), MOST_POINTS)

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots()
        low, high = min(x.min(), y.min(), task.range[0]), max(x.max(), y.max(), task.range[1])
        axes.plot([low, high], [low, high], color=GREY, linestyle="--", linewidth=1)
        axes.plot(
            x[drawn], y[drawn], "o", color=COLOURS[0], alpha=0.35, markersize=4, markeredgewidth=0
        )
        edge = 0.03 * (high - low)
        axes.set(xlim=(low - edge, high + edge), ylim=(low - edge, high + edge), aspect="equal")
        axes.set(
            xlabel=shown(f"true value, in units of {task.name}", _LABEL_POINTS),
            ylabel=shown(f"predicted value, in units of {task.name}", _LABEL_POINTS),
        )

    return draw(name, title, _sentence(x, y, len(drawn)), 4.6, paint)


def _sentence(x: np.ndarray, y: np.ndarray, drawn: int) -> str:
    error = float(np.abs(y - x).mean())
    if np.ptp(y) == 0:
        start = f"Every one of {len(y):,} predictions is {y[0]:.3g}, so there is no correlation"
    elif np.ptp(x) == 0:
        start = f"Every one of {len(x):,} true values is {x[0]:.3g}, so there is no correlation"
    else:
        start = f"Pearson's r is {pearson(y, x):.3f} over {len(x):,} rows"
    reach = (
        f"predictions reach from {y.min():.3g} to {y.max():.3g},"
        f" true values from {x.min():.3g} to {x.max():.3g}"
    )
    some = f"; {drawn:,} rows are drawn, chosen at random by a fixed seed" if drawn < len(x) else ""
    return f"{start}; the mean absolute error is {error:.3g}; {reach}{some}."
