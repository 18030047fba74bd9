"""Which labels are taken for which."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Rectangle

from accord.report.figures.drawing import WIDTH_INCHES, blank, draw, shown
from accord.report.page import Figure
from accord.report.record import Predictions

_MOST = 12  # labels whose cells have room for two numbers
_DARK, _LIGHT = np.array([0.0, 0.27, 0.45]), np.array([1.0, 1.0, 1.0])


def confusion(name: str, title: str, predictions: Predictions) -> Figure:
    """Draw a confusion matrix: the share of each true label's rows, and how many they are.

    Of more than twelve labels the eleven most frequent are shown, and the others as one.

    Args:
        name: a slug.
        title: of the figure.
        predictions: of a classification.

    Raises:
        ValueError: if they are a regression's.
    """
    task = predictions.task
    if not task.is_classification:
        raise ValueError(f"confusion: '{task.name}' is a regression")
    if not predictions.ids:
        return blank(name, title, "There are no dev rows.")
    full = _counts(predictions)
    counts, labels = _lumped(full, list(task.labels))
    totals = counts.sum(axis=1)
    shares = counts / np.maximum(totals, 1)[:, None]

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots()
        axes.grid(visible=False)
        for i, j in np.ndindex(*counts.shape):
            share = float(shares[i, j])
            axes.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, color=_colour(share), linewidth=0))
            text = f"{share:.0%}\n{counts[i, j]:,}" if totals[i] else "–"
            ink = "white" if share > 0.7 else "black"
            axes.text(j, i, text, ha="center", va="center", color=ink, linespacing=1.1)
        size = range(len(labels))
        axes.set_xticks(size, [shown(own, 16) for own in labels], rotation=_turn(labels))
        rows = (f"{shown(own, 20)} ({n:,})" for own, n in zip(labels, totals, strict=True))
        axes.set_yticks(size, list(rows))
        axes.set(xlim=(-0.5, len(labels) - 0.5), ylim=(len(labels) - 0.5, -0.5))
        axes.set(xlabel="predicted label", ylabel="true label (rows)")
        axes.tick_params(length=0)

    return draw(name, title, _sentence(full, task.labels), _height(labels), paint)


def _counts(predictions: Predictions) -> np.ndarray:
    """Return how many rows of each label are predicted as each: int64 [labels, labels]."""
    size = len(predictions.task.labels)
    pairs = predictions.labels.astype(int) * size + predictions.predicted.astype(int)
    return np.bincount(pairs, minlength=size * size).reshape(size, size)


def _lumped(counts: np.ndarray, labels: list[str]) -> tuple[np.ndarray, list[str]]:
    """Put all but the most frequent true labels together."""
    if len(labels) <= _MOST:
        return counts, labels
    order = np.argsort(-counts.sum(axis=1), kind="stable")
    kept = sorted(order[: _MOST - 1].tolist())
    place = np.full(len(labels), _MOST - 1)
    place[kept] = np.arange(_MOST - 1)
    small = np.zeros((_MOST, _MOST), dtype=counts.dtype)
    np.add.at(small, (place[:, None], place[None, :]), counts)
    return small, [*(labels[i] for i in kept), f"{len(labels) - len(kept)} others"]


def _colour(share: float) -> tuple[float, float, float]:
    red, green, blue = _LIGHT + (_DARK - _LIGHT) * share
    return float(red), float(green), float(blue)


def _turn(labels: list[str]) -> float:
    """Labels that don't fit side by side stand upright."""
    room = 0.7 * WIDTH_INCHES * 72 / len(labels)
    return 0.0 if max(len(shown(own, 16)) for own in labels) * 6 < room else 90.0


def _height(labels: list[str]) -> float:
    return 0.9 + 0.45 * len(labels) + (1.2 if _turn(labels) else 0.0)


def _sentence(counts: np.ndarray, labels: tuple[str, ...]) -> str:
    total, right = int(counts.sum()), int(np.trace(counts))
    start = f"Of {total:,} dev rows {right / total:.1%} are right"
    wrong = counts - np.diag(np.diag(counts))
    if not wrong.any():
        return f"{start}; no label is taken for another."
    i, j = np.unravel_index(int(wrong.argmax()), wrong.shape)
    share = wrong[i, j] / counts[i].sum()
    noun = "row" if wrong[i, j] == 1 else "rows"
    return (
        f"{start}; most often '{shown(labels[i])}' is taken for '{shown(labels[j])}':"
        f" {wrong[i, j]:,} {noun}, {share:.0%} of '{shown(labels[i])}'."
    )
