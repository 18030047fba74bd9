"""Differences with their intervals: a forest plot that cuts no label and no interval."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import AsinhLocator, MaxNLocator

from accord.plural import count
from accord.report.figures.drawing import (
    COLOURS,
    GREY,
    WIDTH_INCHES,
    blank,
    draw,
    line_count,
    shown,
    signed,
)
from accord.report.figures.measuring import LINE_POINTS, SIZE_POINTS, text_width, wrapped
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
_ROW_GAP_POINTS, _TICKS_POINTS, _SIDES_POINTS = 7.0, 36.0, 36.0
_TICK_GAP_POINTS = 12.0
_DWARFS = 8.0  # times as far as the nearer rows reach: from there on the axis is compressed
_BAND, _STRIPE = "#cfe8f7", "#f3f5f7"


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
    width = _linear_width(rows)
    labels = [wrapped(row.label, _LABELS_POINTS) for row in rows]
    baselines = [wrapped(row.baseline, _LABELS_POINTS) if row.baseline else [] for row in rows]
    words = [[*_figures(row), *wrapped(row.verdict or row.kind, _WORDS_POINTS)] for row in rows]
    below = shown(
        f"{unit}{_margin_words(rows)}{_width_words(width)}", WIDTH_INCHES * 72 - _SIDES_POINTS
    )
    edges = [0.0]
    for label, baseline, word in zip(labels, baselines, words, strict=True):
        lines = max(len(label) + len(baseline), len(word))
        edges.append(edges[-1] + lines * LINE_POINTS + _ROW_GAP_POINTS)
    text_points = sum(max(map(text_width, chain(*each))) for each in ([*labels, *baselines], words))

    def paint(canvas: Canvas) -> None:
        canvas.set_layout_engine("constrained", w_pad=8 / 72)
        axes = canvas.subplots()
        canvas.supxlabel(below, fontsize=SIZE_POINTS)
        axes.set_ylim(edges[-1], 0)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.axvline(0, color=GREY, linewidth=1, zorder=1.5)
        _set_scale(axes, rows, width, WIDTH_INCHES * 72 - text_points - _SIDES_POINTS)
        for i, (row, top, bottom) in enumerate(zip(rows, edges, edges[1:], strict=False)):
            middle = (top + bottom) / 2
            _shade(axes, row, top, bottom, striped=i % 2 == 0)
            _mark(axes, middle, row)
            first = middle - (len(labels[i]) + len(baselines[i])) * LINE_POINTS / 2
            _text(axes, 0, first, labels[i])
            _text(axes, 0, first + len(labels[i]) * LINE_POINTS, baselines[i], color=GREY)
            _text(axes, 1, middle - len(words[i]) * LINE_POINTS / 2, words[i])

    height = edges[-1] + _TICKS_POINTS + line_count([below]) * LINE_POINTS
    return draw(name, title, _sentence(rows, width), height / 72, paint)


def _text(axes: Axes, side: int, top: float, lines: list[str], color: str = "black") -> None:
    """Write lines beside the axes, to the left (0) or to the right (1)."""
    for i, line in enumerate(lines):
        axes.annotate(
            line, (side, top + (i + 0.5) * LINE_POINTS), (16 * side - 8, 0),
            xycoords=axes.get_yaxis_transform(), textcoords="offset points", va="center",
            ha="left" if side else "right", annotation_clip=False, color=color,
        )  # fmt: skip


def _shade(axes: Axes, row: DifferenceRow, top: float, bottom: float, *, striped: bool) -> None:
    """Tint a row across the whole canvas, and its margin."""
    if striped:
        span = axes.axhspan(top, bottom, -9, 9, color=_STRIPE, linewidth=0, zorder=0, clip_on=False)
        span.set_in_layout(False)
    if row.margin:
        axes.barh((top + bottom) / 2, 2 * row.margin, bottom - top, -row.margin, color=_BAND,
                  zorder=0.5)  # fmt: skip


def _mark(axes: Axes, y: float, row: DifferenceRow) -> None:
    style = MARKS[row.kind]
    if row.low is not None and row.high is not None and not math.isnan(row.value):
        # An end without bound has no place: its line goes to the axis's end, with an arrow there.
        for end, edge, arrow in zip((row.low, row.high), axes.get_xlim(), "<>", strict=True):
            x, mark = (end, "|") if math.isfinite(end) else (edge, arrow)
            axes.plot([row.value, x], [y, y], color=style["color"], marker=mark, markevery=[1],
                      markersize=7, clip_on=False)  # fmt: skip
    axes.plot(row.value, y, linestyle="none", markersize=6.5, clip_on=False, zorder=3, **style)


def _linear_width(rows: Sequence[DifferenceRow]) -> float | None:
    """Return up to which |x| the axis is linear; None where it is that everywhere.

    Where the farthest row reaches more than eight times as far as the nearer quarter of the rows,
    the axis is compressed beyond what that quarter needs.
    """
    reaches = [[abs(x) for x in _finite(row.value, row.low, row.high)] for row in rows]
    # A bare dot can be seen wherever it is: the intervals say how wide the axis is to be.
    measured = [reach for reach in reaches if len(reach) > 1] or reaches
    near = sorted(most for reach in measured if (most := max(reach, default=0.0)) > 0)
    width = near[(len(near) - 1) // 4] if near else 0.0
    farthest = max((x for reach in reaches for x in reach), default=0.0)
    return width if 0 < width * _DWARFS < farthest else None


def _set_scale(axes: Axes, rows: Sequence[DifferenceRow], width: float | None, room: float) -> None:
    """Give the axis all ends and margins, and as many ticks as have room for their labels."""
    if width is not None:
        axes.set_xscale("asinh", linear_width=width)
    ends = [x for row in rows for x in _finite(row.value, row.low, row.high)]
    ends += [x for row in rows if row.margin for x in (-row.margin, row.margin)]
    axes.update_datalim([(x, 0) for x in ((0.0, *ends) if any(ends) else (-1.0, 1.0))])
    axes.margins(x=0.06)
    axes.autoscale_view(scaley=False)
    low, high = axes.get_xlim()
    axes.set_xlim(low, high)
    place = axes.transScale.transform
    scale = room / (place((high, 0))[0] - place((low, 0))[0])
    for most in range(11, 1, -1):
        locator = MaxNLocator(most) if width is None else AsinhLocator(width, most)
        ticks = [float(x) for x in locator.tick_values(low, high) if low <= x <= high]
        middles = [scale * place((x, 0))[0] for x in ticks]
        widths = [text_width(_tick(x)) for x in ticks]
        if all(b - a >= (m + n) / 2 + _TICK_GAP_POINTS
               for (a, m), (b, n) in pairwise(zip(middles, widths, strict=True))):  # fmt: skip
            break
    axes.set_xticks(ticks, map(_tick, ticks))
    axes.set_xticks([], minor=True)


def _tick(x: float) -> str:
    """Return a tick's label, with a true minus.

    Example:
        >>> _tick(-0.5), _tick(0.30000000000000004)
        ('−0.5', '0.3')
    """
    return f"{x:.6g}".replace("-", "−")


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
    interval_text = f"({' to '.join(interval)})"
    line = f"{value} {interval_text}"
    return [line] if text_width(line) <= _WORDS_POINTS else [value, interval_text]


def _number(value: float, places: int) -> str:
    if math.isnan(value):
        return "–"
    return signed(value, places) if math.isfinite(value) else ("+∞" if value > 0 else "−∞")


def _margin_words(rows: Sequence[DifferenceRow]) -> str:
    margins = sorted({row.margin for row in rows if row.margin})
    margins_text = " or ".join(f"±{_tick(margin)}" for margin in margins)
    return f"; shaded: within {margins_text}, the margin" if margins else ""


def _width_words(width: float | None) -> str:
    return "" if width is None else f"; beyond about ±{width:.2g} the axis is compressed"


def _sentence(rows: Sequence[DifferenceRow], width: float | None) -> str:
    counts = Counter(row.kind for row in rows)
    kinds_text = ", ".join(f"{counts[kind]} '{kind}'" for kind in MARKS if counts[kind])
    compressed = (
        ""
        if width is None
        else f"; the axis is linear near 0 and logarithmic beyond about ±{width:.2g} points,"
        " so that the widest interval does not hide the others"
    )
    return f"Of {count(len(rows), 'difference')}: {kinds_text}{compressed}."
