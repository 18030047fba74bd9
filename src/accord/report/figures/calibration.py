"""Whether predicted probabilities are calibrated."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.figure import Figure as Canvas
from scipy.stats import binomtest

from accord.report.figures.drawing import COLOURS, GREY, blank, draw
from accord.report.page import Figure
from accord.report.record import Predictions

BINS = 10
_Z = 1.96  # of a normal distribution's middle 95 %
_DRAWS = 1_000  # of labels for a perfectly calibrated model


def calibration(name: str, title: str, predictions: Predictions) -> Figure:
    """Draw how often predictions are right against the probability they were given.

    Confidence is the probability of the predicted label. In ten bins of equal width, each with
    its lower edge, the expected calibration error is Σ_b (n_b / n) |accuracy_b − confidence_b|.

    Chance alone makes that error positive, the more so the fewer the rows: the sentence says beside
    it what a perfectly calibrated model would show on as many rows of the same confidence.

    *Source:* Guo et al., "On Calibration of Modern Neural Networks", 2017, equation 3; the
    comparison after Bröcker & Smith, "Increasing the Reliability of Reliability Diagrams", 2007.

    Args:
        name: a slug.
        title: of the figure.
        predictions: of a classification.

    Raises:
        ValueError: if they are a regression's.
    """
    if predictions.probabilities is None:
        raise ValueError(f"calibration: '{predictions.task.name}' has no probabilities")
    if not predictions.ids:
        return blank(name, title, "There are no dev rows.")
    rows = np.arange(len(predictions.ids))
    confidence = predictions.probabilities[rows, predictions.predicted.astype(int)]
    right = (predictions.predicted == predictions.labels).astype(float)
    counts = _binned(confidence)
    filled = counts > 0
    mean, accuracy = (
        _binned(confidence, sums)[filled] / counts[filled] for sums in (confidence, right)
    )

    def paint(canvas: Canvas) -> None:
        upper, lower = canvas.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        upper.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
        upper.annotate(
            "as it should be", (0.1, 0.1), (4, -4), textcoords="offset points", va="top", color=GREY
        )
        # Wilson's interval is sound for few rows and near 0 and 1 too.
        ends = [
            binomtest(round(share * n), n).proportion_ci(method="wilson")
            for share, n in zip(accuracy, counts[filled].tolist(), strict=True)
        ]
        reach = np.abs(np.array(ends).T - accuracy)
        upper.errorbar(
            mean, accuracy, reach, color=COLOURS[0], marker="o", capsize=3, linewidth=1.2
        )
        upper.set(xlim=(-0.02, 1.02), ylim=(-0.03, 1.03), ylabel="share that is right")
        centres = (np.arange(BINS) + 0.5) / BINS
        bars = lower.bar(centres, counts, width=0.9 / BINS, color=COLOURS[0])
        lower.bar_label(bars, fmt="{:,.0f}", padding=2)
        lower.set(xlabel="probability of the predicted label", ylabel="rows")
        lower.set_ylim(0, 1.3 * counts.max())
        lower.set_xticks(np.linspace(0, 1, BINS + 1))
        lower.locator_params(axis="y", nbins=3)
        lower.grid(visible=False)

    sentence = _sentence(confidence, right)
    return draw(name, title, sentence, 3.8, paint)


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Return the expected calibration error, Σ_b |Σ_{i in b} (right_i − confidence_i)| / n.

    Example:
        >>> round(calibration_error(np.array([0.6, 0.64, 1.0]), np.array([1, 0, 1])), 4)
        0.08
    """
    excess = _binned(confidence, right - confidence)
    return float(np.abs(excess).sum() / len(right))


def chance_errors(confidence: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return the errors that chance alone gives: of a model that is perfectly calibrated.

    Each of 1,000 draws makes every row right with the probability that it was given.

    Args:
        confidence: of each row's predicted label, [n].
        seed: of the draws.

    Returns:
        [1000], float64.
    """
    random = np.random.default_rng(seed)
    draws = (random.random(len(confidence)) < confidence for _ in range(_DRAWS))
    return np.array([calibration_error(confidence, draw) for draw in draws])


def _binned(confidence: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Return each bin's rows, or the sum of their weights: [bins]."""
    index = np.clip((confidence * BINS).astype(int), 0, BINS - 1)
    return np.bincount(index, weights, BINS)


def _sentence(confidence: np.ndarray, right: np.ndarray) -> str:
    error, chance = calibration_error(confidence, right), chance_errors(confidence)
    low, high = np.percentile(chance, (2.5, 97.5))
    beyond = "more than chance explains" if error > high else "no more than chance explains"
    mean, accuracy = float(confidence.mean()), float(right.mean())
    gap = mean - accuracy
    word = "too sure" if gap > 0 else "not sure enough"
    # Of the gap, if each row is right with the probability that it was given.
    width = _Z * float(np.sqrt((confidence * (1 - confidence)).sum())) / len(right)
    verdict = (
        "on the whole as sure as it is right"
        if math.isclose(gap, 0, abs_tol=0.005)
        else f"{word} by {abs(gap) * 100:.1f} points"
    )
    return (
        f"Expected calibration error {error:.3f} over {len(right):,} rows in {BINS} bins, where a"
        f" perfectly calibrated model would show {chance.mean():.3f} ({low:.3f} to {high:.3f} in"
        f" 95 % of draws): {beyond}; the mean probability is {mean:.3f} and {accuracy:.3f} are"
        f" right, so the model is {verdict}, where chance gives ±{width * 100:.1f}; bars are 95 %"
        " intervals of the share."
    )
