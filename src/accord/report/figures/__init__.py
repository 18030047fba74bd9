"""The report's figures: from plain data to SVG, each with the sentence that it shows."""

from accord.report.figures.calibration import calibration
from accord.report.figures.confusion import confusion
from accord.report.figures.cosines import gradient_cosines
from accord.report.figures.curves import learning_curves
from accord.report.figures.differences import DifferenceRow, differences
from accord.report.figures.duration import DurationRow, duration_and_improvement
from accord.report.figures.regression import predicted_against_true

__all__ = [
    "DifferenceRow",
    "DurationRow",
    "calibration",
    "confusion",
    "differences",
    "duration_and_improvement",
    "gradient_cosines",
    "learning_curves",
    "predicted_against_true",
]
