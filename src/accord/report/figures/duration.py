"""What each configuration costs and gains: the paper's figure 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from accord.report.figures.drawing import (
    COLOURS,
    GREY,
    blank,
    draw,
    legend_above,
    line_count,
    line_style,
    row_stripes,
    shown,
    signed,
)
from accord.report.figures.measuring import LINE_POINTS, text_width
from accord.report.page import Figure

_LABEL_POINTS = 170.0  # of a line
_BARS_POINTS = 100.0  # that the bars' axes have at least beside the widest labels


@dataclass(frozen=True)
class DurationRow:
    """A configuration.

    Attributes:
        label: as it is shown.
        seconds_per_epoch: of training.
        improvement: each task's metric less the baseline's, in points (hundredths of the
            metric); None, or no entry, where the task isn't trained.
        spread: half the length of the bar through each improvement, in points; None, or no
            entry, draws none.
    """

    label: str
    seconds_per_epoch: float
    improvement: dict[str, float | None]
    spread: dict[str, float | None]


def duration_and_improvement(name: str, title: str, rows: Sequence[DurationRow]) -> Figure:
    """Draw seconds per epoch as bars and, beside them, each task's improvement as dots.

    Args:
        name: a slug.
        title: of the figure.
        rows: from top to bottom.
    """
    if not rows:
        return blank(name, title, "There is no configuration to draw.")
    tasks = list(dict.fromkeys(task for row in rows for task in row.improvement))

    labels = [shown(row.label, _LABEL_POINTS) for row in rows]

    def paint(canvas: Canvas) -> None:
        left, right = canvas.subplots(1, 2, sharey=True, width_ratios=(2, 3))
        for axes in (left, right):
            row_stripes(axes, len(rows))
        _durations(left, rows, labels)
        for i, task in enumerate(tasks):
            _improvements(right, rows, task, i, _offset(i, len(tasks)))
        right.axvline(0, color=GREY, linewidth=1)
        right.set_xlabel("points over the baseline")
        style = [{**line_style(i), "linestyle": "none"} for i in range(len(tasks))]
        legend_above(canvas, [Line2D([], [], **look) for look in style], tasks)

    lines = LINE_POINTS / 72 * line_count(labels)
    height = 0.9 + len(rows) * max(0.34, 0.17 * len(tasks), lines + 0.1)
    return draw(name, title, _sentence(rows), height, paint)


def _durations(axes: Axes, rows: Sequence[DurationRow], labels: Sequence[str]) -> None:
    seconds = [row.seconds_per_epoch for row in rows]
    bars = axes.barh(range(len(rows)), seconds, height=0.55, color=COLOURS[5])
    axes.bar_label(bars, [_number(value) for value in seconds], padding=3)
    axes.set_yticks(range(len(rows)), labels)
    # The longest bar's number has room within the axes, however narrow the labels leave them.
    longest = max(text_width(_number(value)) for value in seconds) + 6
    room = max(0.25, longest / max(_BARS_POINTS, longest + 20))
    axes.set(xlabel="seconds per epoch", xlim=(0, max(seconds) / (1 - room) or 1))
    axes.locator_params(axis="x", nbins=3 if max(seconds) < 1e4 else 2)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,g}"))


def _improvements(
    axes: Axes, rows: Sequence[DurationRow], task: str, index: int, offset: float
) -> None:
    style = {**line_style(index), "linestyle": "none"}
    for i, row in enumerate(rows):
        value, half = row.improvement.get(task), row.spread.get(task)
        if value is not None:
            axes.errorbar(value, i + offset, xerr=half, elinewidth=1.2, capsize=2, **style)


def _offset(index: int, count: int) -> float:
    """Where a task's dot lies within its row: side by side, none on another."""
    return float(0.7 * ((index + 0.5) / count - 0.5))


def _number(seconds: float) -> str:
    """Return three figures, or all before the point."""
    return f"{seconds:.3g}" if seconds < 1000 else f"{seconds:,.0f}"


def _sentence(rows: Sequence[DurationRow]) -> str:
    quick, slow = (choose(rows, key=lambda row: row.seconds_per_epoch) for choose in (min, max))
    least, most = (f"{_number(row.seconds_per_epoch)} s ({row.label})" for row in (quick, slow))
    cost = f"An epoch takes {least if quick is slow else f'from {least} to {most}'}"
    gains = [
        (value, task, row.label)
        for row in rows
        for task, value in row.improvement.items()
        if value is not None and np.isfinite(value)
    ]
    if not gains:
        return f"{cost}; no improvement over a baseline is known."
    best, worst = max(gains, key=lambda pair: pair[0]), min(gains, key=lambda pair: pair[0])
    best_text, worst_text = (
        f"{task} {signed(value)} points ({label})" for value, task, label in (best, worst)
    )
    ends = best_text if best is worst else f"at best {best_text} and at worst {worst_text}"
    bars = any(value is not None for row in rows for value in row.spread.values())
    return f"{cost}; against the baseline {ends}{'' if bars else '; no spread is known'}."
