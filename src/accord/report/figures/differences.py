"""Differences with their intervals: a forest plot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from accord.report.figures.drawing import COLOURS, GREY, blank, draw, row_stripes, shown, signed
from accord.report.page import Figure

_MARKS: dict[str, dict[str, Any]] = {
    "better": {"color": COLOURS[0], "marker": "^"},
    "worse": {"color": COLOURS[1], "marker": "v"},
    "no difference shown": {"color": GREY, "marker": "o"},
    "not enough runs": {"color": GREY, "marker": "o", "markerfacecolor": "white"},
}


@dataclass(frozen=True)
class DifferenceRow:
    """A difference.

    Attributes:
        label: of what from what.
        value: in points, hundredths of a metric.
        low: of its interval, likewise; None where there is none.
        high: likewise.
        verdict: 'better', 'worse', 'no difference shown' or 'not enough runs'.
    """

    label: str
    value: float
    low: float | None
    high: float | None
    verdict: str


def differences(
    name: str, title: str, rows: Sequence[DifferenceRow], unit: str = "difference in points"
) -> Figure:
    """Draw each difference as a dot on its interval, and its verdict beside it.

    Args:
        name: a slug.
        title: of the figure.
        rows: from top to bottom.
        unit: what the axis shows.

    Raises:
        ValueError: a verdict is none of the four.
    """
    for row in rows:
        if row.verdict not in _MARKS:
            raise ValueError(f"verdict '{row.verdict}': takes {', '.join(_MARKS)}")
    if not rows:
        return blank(name, title, "There is no difference to draw.")
    bound = _bound(rows)

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots()
        row_stripes(axes, len(rows))
        axes.axvline(0, color=GREY, linewidth=1)
        for i, row in enumerate(rows):
            _row(axes, i, row, bound)
        axes.set_yticks(range(len(rows)), [shown(row.label, 34) for row in rows])
        axes.set(xlabel=unit, xlim=(-1.06 * bound, 1.06 * bound))
        verdicts = axes.secondary_yaxis("right")
        verdicts.set_yticks(range(len(rows)), [_words(row) for row in rows])
        verdicts.tick_params(length=0)
        verdicts.spines["right"].set_visible(False)

    cut = any(_is_cut(row, bound) for row in rows)
    return draw(name, title, _sentence(rows, cut), 0.7 + 0.3 * len(rows), paint)


def _row(axes: Axes, i: int, row: DifferenceRow, bound: float) -> None:
    style = _MARKS[row.verdict]
    if row.low is not None and row.high is not None:
        low, high = max(row.low, -bound), min(row.high, bound)
        axes.plot([low, high], [i, i], color=style["color"], linewidth=1.5)
        for end, kept, mark in ((row.low, low, "<"), (row.high, high, ">")):
            inside = {"marker": "|", "markersize": 7}
            axes.plot(
                kept, i, color=style["color"], **(inside if end == kept else {"marker": mark})
            )
    axes.plot(row.value, i, linestyle="none", markersize=6, **style)


def _bound(rows: Sequence[DifferenceRow]) -> float:
    """Return how far the axis reaches: an interval from two runs would dwarf all others."""
    halves = [
        (row.high - row.low) / 2 for row in rows if row.low is not None and row.high is not None
    ]
    largest = max(abs(row.value) for row in rows)
    ends = [abs(end) for row in rows for end in (row.low, row.high) if end is not None]
    reach = max([largest, *ends])
    room = max(1.5 * largest, largest + 3 * float(np.median(halves)) if halves else 0.0)
    return min(reach, room) or 1.0


def _is_cut(row: DifferenceRow, bound: float) -> bool:
    return any(end is not None and abs(end) > bound for end in (row.low, row.high))


def _words(row: DifferenceRow) -> str:
    if row.low is None or row.high is None:
        return f"{signed(row.value)}  {row.verdict}"
    return f"{signed(row.value)} ({signed(row.low)} to {signed(row.high)})  {row.verdict}"


def _sentence(rows: Sequence[DifferenceRow], cut: bool) -> str:
    counts = Counter(row.verdict for row in rows)
    said = ", ".join(f"{counts[verdict]} '{verdict}'" for verdict in _MARKS if counts[verdict])
    noun = "difference" if len(rows) == 1 else "differences"
    arrows = "; intervals that end in an arrow go on beyond the axis" if cut else ""
    return f"Of {len(rows)} {noun}: {said}{arrows}."
