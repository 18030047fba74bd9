"""Which labels are taken for which."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure as Canvas

from accord.plural import count
from accord.report.figures.drawing import blank, draw, line_count, shown
from accord.report.figures.measuring import LINE_POINTS, text_width
from accord.report.page import Figure
from accord.report.record import Predictions

_MOST = 12  # labels whose cells have room for two numbers
_MOST_LINES = 3  # of a label below its column
_ROW_POINTS, _COLUMNS_POINTS, _UPRIGHT_POINTS = 150.0, 310.0, 110.0  # of labels, in all or a line
_COLOURS = LinearSegmentedColormap.from_list("shares", ["white", "#004573"])


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
    if predictions.probabilities is None:
        raise ValueError(f"confusion: '{task.name}' is a regression")
    if not predictions.ids:
        return blank(name, title, "There are no dev rows.")
    full = np.zeros((len(task.labels), len(task.labels)), int)
    np.add.at(full, (predictions.labels.astype(int), predictions.predicted.astype(int)), 1)
    counts, labels = _lumped(full, list(task.labels))
    totals = counts.sum(axis=1)
    shares = counts / np.maximum(totals, 1)[:, None]

    columns, turn = _column_labels(labels)
    numbers = "" if turn is not None else "{}: "
    rows = [
        shown(f"{numbers.format(i)}{label} ({n:,})", _ROW_POINTS)
        for i, (label, n) in enumerate(zip(labels, totals, strict=True), 1)
    ]

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots()
        axes.grid(visible=False)
        size = range(len(labels))
        axes.pcolormesh(size, size, shares, cmap=_COLOURS, vmin=0, vmax=1)
        for (i, j), share in np.ndenumerate(shares):
            text = f"{share:.0%}\n{_short(int(counts[i, j]), len(labels))}" if totals[i] else "–"
            ink = "white" if share > 0.7 else "black"
            axes.text(j, i, text, ha="center", va="center", color=ink, linespacing=1.1)
        axes.set_xticks(size, columns, rotation=turn or 0.0)
        axes.set_yticks(size, rows)
        axes.invert_yaxis()
        axes.set(xlabel="predicted label", ylabel="true label (rows)")
        axes.tick_params(length=0)

    return draw(name, title, _sentence(full, task.labels), _height(rows, columns, turn), paint)


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


def _column_labels(labels: list[str]) -> tuple[list[str], float | None]:
    """Return the labels below the columns, and by how many degrees they are turned.

    Labels that fit side by side lie; those that don't stand; and where they are too long for that
    they are the numbers that the rows' labels begin with, and the turn is None.
    """
    room = _COLUMNS_POINTS / len(labels)
    flat = [shown(label, room - 6) for label in labels]
    words_fit = all(text_width(word) <= room - 6 for label in labels for word in label.split())
    if words_fit and line_count(flat) <= _MOST_LINES:
        return flat, 0.0
    upright = [shown(label, _UPRIGHT_POINTS) for label in labels]
    if line_count(upright) * LINE_POINTS <= room:
        return upright, 90.0
    return [str(i) for i in range(1, len(labels) + 1)], None


def _height(rows: list[str], columns: list[str], turn: float | None) -> float:
    row = max(0.45, line_count(rows) * LINE_POINTS / 72 + 0.08)
    lines = columns if turn != 90.0 else []
    upright = max((text_width(x) for column in columns for x in column.split("\n")), default=0.0)
    below = upright if turn == 90.0 else line_count(lines) * LINE_POINTS
    return 0.75 + row * len(rows) + below / 72


def _short(count: int, labels: int) -> str:
    """Return a count; in thousands, where many labels leave its cell no room for all digits."""
    return f"{count / 1000:,.0f}k" if count >= 10_000 and labels > _MOST // 2 else f"{count:,}"


def _sentence(counts: np.ndarray, labels: tuple[str, ...]) -> str:
    total, right = int(counts.sum()), int(np.trace(counts))
    start = f"Of {total:,} dev rows {right / total:.1%} are right"
    wrong = counts - np.diag(np.diag(counts))
    if not wrong.any():
        return f"{start}; no label is taken for another."
    i, j = np.unravel_index(int(wrong.argmax()), wrong.shape)
    share = wrong[i, j] / counts[i].sum()
    return (
        f"{start}; most often '{shown(labels[i])}' is taken for '{shown(labels[j])}':"
        f" {count(wrong[i, j], 'row')}, {share:.0%} of '{shown(labels[i])}'."
    )
