"""How every figure is drawn: its look, and files that are the same bytes each time."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from accord.errors import printable
from accord.report.figures.measuring import LINE_POINTS, text_width, wrapped
from accord.report.page import Figure

WIDTH_INCHES = 7.0
_DPI = 300  # of PNG files
GREY = "#666666"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's, which the colour-blind tell apart; its yellow is left out: pale on white."""

_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
_LINES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))
_LOOK: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be searched and read aloud
    "font.family": ["sans-serif"],
    # Measured by the first, which matplotlib brings along and which is wider than those after it.
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Helvetica", "Arial"],
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.labelsize": 9.0,
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "legend.fontsize": 9.0,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.5,
    "text.parse_math": False,  # a '$' in a label is a '$'
    "pdf.fonttype": 42,  # outlines that every reader and printer can use
}
_METADATA: dict[str, dict[str, Any]] = {
    "svg": dict.fromkeys(("Date", "Creator", "Format", "Type")),
    "pdf": dict.fromkeys(("CreationDate", "Creator", "Producer")),
    "png": {"Software": None},
}


def draw(
    name: str, title: str, sentence: str, height_inches: float, paint: Callable[[Canvas], None]
) -> Figure:
    """Return what `paint` draws on an empty canvas, as a figure at page width.

    Args:
        name: a slug; the SVG's ids begin with it, so that figures can share a page.
        title: read aloud for the picture, and shown above it.
        sentence: what it shows.
        height_inches: of the canvas.
        paint: draws; called once for each format.
    """

    def save(format_: str) -> bytes:
        file = io.BytesIO()
        with warnings.catch_warnings(), mpl.rc_context():
            # Letters that the measuring font lacks: the browser has a font for them.
            warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
            mpl.rcdefaults()  # not what the user's own matplotlibrc says
            mpl.rcParams.update({**_LOOK, "svg.hashsalt": name})
            canvas = Canvas(figsize=(WIDTH_INCHES, height_inches), layout="constrained")
            paint(canvas)
            metadata = {**_METADATA[format_], "Title": printable(title)}
            canvas.savefig(file, format=format_, dpi=_DPI, metadata=metadata)
        return file.getvalue()

    return Figure(name, title, _element(save("svg").decode(), name), sentence, save)


def blank(name: str, title: str, sentence: str) -> Figure:
    """Return a figure that says there is nothing to draw."""

    def paint(canvas: Canvas) -> None:
        canvas.text(0.5, 0.5, "nothing to draw", ha="center", va="center", color=GREY)

    return draw(name, title, sentence, 0.6, paint)


def line_style(index: int) -> dict[str, Any]:
    """Return colour, line and marker of the index-th series: no two of the first seven share any.

    The lengths have no common divisor, so that a longer list does not soon repeat itself.
    """
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": _LINES[index % len(_LINES)],
        "marker": _MARKERS[index % len(_MARKERS)],
    }


def shown(text: str, width: float | None = None) -> str:
    r"""Return a stranger's whole text as a label, in lines of at most `width` points.

    Example:
        >>> shown("a\nb"), shown("one two", 30)
        ('a\\nb', 'one\ntwo')
    """
    return printable(text) if width is None else "\n".join(wrapped(text, width))


def line_count(labels: Iterable[str]) -> int:
    """Return the most lines that any of some labels has."""
    return max((label.count("\n") + 1 for label in labels), default=1)


def taller(canvas: Canvas, lines: int) -> None:
    """Make room for more lines of text than a canvas was made for."""
    canvas.set_figheight(canvas.get_figheight() + max(lines, 0) * LINE_POINTS / 72)


def signed(value: float, places: int = 1) -> str:
    """Return a number with its sign, a true minus; what rounds to zero is +0.

    Example:
        >>> signed(-1.25), signed(-0.01), signed(2)
        ('−1.2', '+0.0', '+2.0')
    """
    return f"{value:+z.{places}f}".replace("-", "−")


def legend_above(canvas: Canvas, handles: Sequence[Artist], labels: Sequence[str]) -> None:
    """Put one legend for all panels over them, in as many columns as fit; the canvas grows by
    the lines after its first."""
    room, handle = WIDTH_INCHES * 72 - 16, 54.0  # in points; a handle with its gaps
    names = [shown(label, room - handle) for label in labels]
    # A label that begins with '_' is one that matplotlib before 3.10 leaves out.
    names = [f" {name}" if name.startswith("_") else name for name in names]
    widths = [max(map(text_width, name.split("\n"))) + handle for name in names]
    columns = len(names) if sum(widths) <= room else max(1, int(room / max(widths)))
    # matplotlib fills the columns one after the other.
    rows = -(-len(names) // columns)
    taller(canvas, rows * line_count(names) - 1)
    canvas.legend(handles, names, loc="outside upper center", ncols=columns, handlelength=3.2)


def row_stripes(axes: Axes, count: int) -> None:
    """Tint every other of some rows at y = 0, 1, …, the first on top."""
    for i in range(0, count, 2):
        axes.axhspan(i - 0.5, i + 0.5, color="#f3f5f7", linewidth=0, zorder=0)
    axes.set_ylim(count - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


def _element(svg: str, name: str) -> str:
    """Return the bare element, ids made the figure's own, coordinates cut to 1/100 point.

    Only tags are changed: in text between them matplotlib has escaped every '<'.
    """
    svg = svg[svg.index("<svg") :]
    bare = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # A point keeps pages' own ids and figures' apart: no slug and no id of matplotlib's has one.
    return re.sub(r"<[a-z][^>]*>", lambda tag: _rewritten_tag(tag[0], name), bare)


def _rewritten_tag(tag: str, name: str) -> str:
    tag = re.sub(r'( id="|url\(#|xlink:href="#)', rf"\g<1>{name}.", tag)
    if tag.startswith("<svg"):
        return tag.replace("<svg", '<svg role="img"', 1)
    return re.sub(r"(\.\d\d)\d+", r"\1", tag) if re.search(r' (d|x|y)="', tag) else tag
