"""Differences with their intervals: a forest plot that cuts no label and no interval."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Rectangle
from matplotlib.transforms import blended_transform_factory

from accord.report.figures.axis import Scale, make_scale, set_scale, tick_label
from accord.report.figures.drawing import COLOURS, GREY, WIDTH_INCHES, blank, draw, signed
from accord.report.figures.measuring import LINE_POINTS, text_width, wrapped
from accord.report.page import Figure
from accord.statistics.verdict import Verdict

MARKS: dict[str, dict[str, Any]] = {
    "better": {"color": COLOURS[0], "marker": "^"},
    "worse": {"color": COLOURS[1], "marker": "v"},
    "as good": {"color": COLOURS[2], "marker": "s"},
    "no difference shown": {"color": GREY, "marker": "o"},
    "learnt nothing": {"color": COLOURS[6], "marker": "X"},
    "one run each": {"color": GREY, "marker": "o", "markerfacecolor": "white"},
    "identical": {"color": GREY, "marker": "D", "markerfacecolor": "white"},
}
"""By kind of verdict; no two of one shape and filling, so that colour is not needed."""

_LABELS_POINTS, _WORDS_POINTS = 190.0, 150.0  # of a line at most; the axis has the rest
_GAP_POINTS, _ROW_GAP_POINTS, _BELOW_POINTS, _ABOVE_POINTS = 10.0, 7.0, 20.0, 6.0
_BAND = "#cfe8f7"


@dataclass(frozen=True)
class DifferenceRow:
    """A difference.

    Attributes:
        label: of what from what; shown whole.
        value: in points, hundredths of a metric.
        low: of its interval, likewise; None where there is none.
        high: likewise.
        kind: of the verdict, a key of `MARKS`: it chooses the mark.
        verdict: as it is shown; by default the kind.
        margin: differences between −margin and +margin, in points, count as none: shaded.
        baseline: what a constant prediction reaches, say; shown below the label.
    """

    label: str
    value: float
    low: float | None
    high: float | None
    kind: str
    verdict: str = ""
    margin: float | None = None
    baseline: str = ""

    @classmethod
    def of(
        cls, label: str, value: float, verdict: Verdict, margin: float | None = None,
        baseline: str = "",
    ) -> DifferenceRow:  # fmt: skip
        """Return the row of a difference on its metric's scale."""
        return cls(
            label, 100 * value, 100 * verdict.low, 100 * verdict.high, verdict.kind, verdict.word,
            None if margin is None else 100 * margin, baseline,
        )  # fmt: skip


@dataclass(frozen=True)
class _Layout:
    """Where everything stands, in points from the canvas's left and top."""

    labels: list[list[str]]
    baselines: list[list[str]]
    words: list[list[str]]
    footer: list[str]
    left: float
    right: float
    edges: list[float]
    height: float


def differences(
    name: str, title: str, rows: Sequence[DifferenceRow], unit: str = "difference in points"
) -> Figure:
    """Draw each difference as a mark on its interval, with its verdict in words.

    The axis reaches the ends of all intervals. Where one is so wide that the others would shrink
    to dots, the axis is linear near 0 and logarithmic further out: x stands at asinh(x / w).

    Args:
        name: a slug.
        title: of the figure.
        rows: from top to bottom.
        unit: what the axis shows.

    Raises:
        ValueError: a kind is none of `MARKS`.
    """
    for row in rows:
        if row.kind not in MARKS:
            raise ValueError(f"kind of verdict '{row.kind}': takes {', '.join(MARKS)}")
    if not rows:
        return blank(name, title, "There is no difference to draw.")
    scale = _scale(rows)
    layout = _layout(rows, f"{unit}{_margin_words(rows)}{_scale_words(scale)}")

    def paint(canvas: Canvas) -> None:
        canvas.set_layout_engine("none")
        width, height = WIDTH_INCHES * 72, layout.height
        plotted = layout.edges[-1] - layout.edges[0]
        bottom = height - layout.edges[-1]
        axes = canvas.add_axes(
            (layout.left / width, bottom / height,
             (layout.right - layout.left) / width, plotted / height)
        )  # fmt: skip
        axes.set_ylim(layout.edges[-1], layout.edges[0])
        set_scale(axes, scale, layout.right - layout.left)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.axvline(0, color=GREY, linewidth=1, zorder=1.5)
        for i, row in enumerate(rows):
            _stripe(axes, i, layout.edges[i : i + 2])
            _band(axes, row, layout.edges[i : i + 2])
            _row(axes, sum(layout.edges[i : i + 2]) / 2, row, scale)
        _texts(canvas, axes, layout)

    return draw(name, title, _sentence(rows, scale), layout.height / 72, paint)


def _layout(rows: Sequence[DifferenceRow], footer: str) -> _Layout:
    width = WIDTH_INCHES * 72
    labels = [wrapped(row.label, _LABELS_POINTS) for row in rows]
    baselines = [wrapped(row.baseline, _LABELS_POINTS) if row.baseline else [] for row in rows]
    words = [[*_figures(row), *wrapped(row.verdict or row.kind, _WORDS_POINTS)] for row in rows]
    left = 2 * _GAP_POINTS + max(map(text_width, chain(*labels, *baselines)))
    right = width - 2 * _GAP_POINTS - max(map(text_width, chain(*words)))
    edges = [_ABOVE_POINTS]
    for label, baseline, word in zip(labels, baselines, words, strict=True):
        lines = max(len(label) + len(baseline), len(word))
        edges.append(edges[-1] + lines * LINE_POINTS + _ROW_GAP_POINTS)
    below = wrapped(footer, width - 2 * _GAP_POINTS)
    height = edges[-1] + _BELOW_POINTS + len(below) * LINE_POINTS + _ABOVE_POINTS
    return _Layout(labels, baselines, words, below, left, right, edges, height)


def _stripe(axes: Axes, i: int, edges: Sequence[float]) -> None:
    """Tint every other row, across the whole canvas."""
    if i % 2 == 0:
        figure = axes.figure
        across = blended_transform_factory(figure.transFigure, axes.transData)
        axes.add_patch(
            Rectangle((0, edges[0]), 1, edges[1] - edges[0], transform=across, color="#f3f5f7",
                      linewidth=0, zorder=0, clip_on=False)
        )  # fmt: skip


def _band(axes: Axes, row: DifferenceRow, edges: Sequence[float]) -> None:
    if row.margin:
        axes.add_patch(
            Rectangle((-row.margin, edges[0]), 2 * row.margin, edges[1] - edges[0], color=_BAND,
                      linewidth=0, zorder=0.5)
        )  # fmt: skip


def _row(axes: Axes, y: float, row: DifferenceRow, scale: Scale) -> None:
    style = MARKS[row.kind]
    if row.low is not None and row.high is not None:
        # An end without bound has no place: its line goes to the axis's end, with an arrow there.
        for end, edge, arrow in ((row.low, scale.low, "<"), (row.high, scale.high, ">")):
            if math.isnan(end) or math.isnan(row.value):
                continue
            x, mark = (end, "|") if math.isfinite(end) else (edge, arrow)
            axes.plot([row.value, x], [y, y], color=style["color"], linewidth=1.5)
            axes.plot(x, y, color=style["color"], marker=mark, markersize=7, clip_on=False)
    axes.plot(row.value, y, linestyle="none", markersize=6.5, clip_on=False, zorder=3, **style)


def _texts(canvas: Canvas, axes: Axes, layout: _Layout) -> None:
    width = WIDTH_INCHES * 72
    across = blended_transform_factory(canvas.transFigure, axes.transData)
    for i, (top, bottom) in enumerate(zip(layout.edges, layout.edges[1:], strict=False)):
        left = [(label, "black") for label in layout.labels[i]]
        left += [(label, GREY) for label in layout.baselines[i]]
        right = [(label, "black") for label in layout.words[i]]
        for x, lines in ((_GAP_POINTS, left), (layout.right + _GAP_POINTS, right)):
            first = (top + bottom - (len(lines) - 1) * LINE_POINTS) / 2
            for j, (line, colour) in enumerate(lines):
                y = first + j * LINE_POINTS
                axes.text(x / width, y, line, transform=across, va="center", color=colour)
    for j, line in enumerate(layout.footer):
        y = layout.edges[-1] + _BELOW_POINTS + (j + 0.5) * LINE_POINTS
        middle = (layout.left + layout.right) / 2
        half = text_width(line) / 2
        x = min(max(middle, _GAP_POINTS + half), width - _GAP_POINTS - half)
        axes.text(x / width, y, line, transform=across, ha="center", va="center")


def _scale(rows: Sequence[DifferenceRow]) -> Scale:
    ends = [_finite(row.value, row.low, row.high) for row in rows]
    margins = [row.margin for row in rows if row.margin]
    all_ends = [end for interval in ends for end in interval] + [
        end for margin in margins for end in (-margin, margin)
    ]
    # A bare dot can be seen wherever it is: the intervals say how wide the axis is to be.
    measured = [end for end in ends if len(end) > 1] or ends
    reaches = [max(map(abs, interval), default=0.0) for interval in measured]
    return make_scale(reaches, min(all_ends, default=0.0), max(all_ends, default=0.0))


def _finite(*values: float | None) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]


def _figures(row: DifferenceRow) -> list[str]:
    """Return value and interval, to a place at which half the interval is no zero; in one line,
    where that has room."""
    known = row.low is not None and row.high is not None
    ends = [float(row.low), float(row.high)] if known else []  # type: ignore[arg-type]
    half = (ends[1] - ends[0]) / 2 if ends else 0.0
    size = half if half > 0 and math.isfinite(half) else abs(row.value)
    places = 1
    if size > 0 and math.isfinite(size):
        places = min(max(1, math.ceil(-math.log10(size))), 8)
    value, *interval = (_number(figure, places) for figure in (row.value, *ends))
    if not interval:
        return [value]
    said = f"({' to '.join(interval)})"
    line = f"{value} {said}"
    return [line] if text_width(line) <= _WORDS_POINTS else [value, said]


def _number(value: float, places: int) -> str:
    if math.isnan(value):
        return "–"
    return signed(value, places) if math.isfinite(value) else ("+∞" if value > 0 else "−∞")


def _margin_words(rows: Sequence[DifferenceRow]) -> str:
    margins = sorted({row.margin for row in rows if row.margin})
    said = " or ".join(f"±{tick_label(margin)}" for margin in margins)
    return f"; shaded: within {said}, the margin" if margins else ""


def _scale_words(scale: Scale) -> str:
    if scale.width is None:
        return ""
    return f"; beyond about ±{scale.width:.2g} the axis is compressed"


def _sentence(rows: Sequence[DifferenceRow], scale: Scale) -> str:
    counts = Counter(row.kind for row in rows)
    said = ", ".join(f"{counts[kind]} '{kind}'" for kind in MARKS if counts[kind])
    noun = "difference" if len(rows) == 1 else "differences"
    compressed = (
        ""
        if scale.width is None
        else f"; the axis is linear near 0 and logarithmic beyond about ±{scale.width:.2g} points,"
        " so that the widest interval does not hide the others"
    )
    return f"Of {len(rows)} {noun}: {said}{compressed}."
