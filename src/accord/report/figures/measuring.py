"""How wide a text is, and how it breaks into lines that fit."""

from __future__ import annotations

import re
import unicodedata
import warnings
from functools import lru_cache

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from accord.errors import printable

SIZE_POINTS = 9.0
LINE_POINTS = 12.0
"""Of one line of text, with the gap to the next."""

_FONT = FontProperties(family="DejaVu Sans", size=SIZE_POINTS)
# A line may end after a space, or after a sign that joins the parts of a name.
_BREAK = re.compile(r"(?<=[\s,;:/=_–|])|(?<=[-+])(?=[^\d\s])")


@lru_cache(maxsize=20_000)
def text_width(text: str) -> float:
    """Return the width of a line of figure text in points.

    Letters of full width, which the measuring font lacks, count as squares.

    Example:
        >>> text_width("mmm") > text_width("iii") > 0, text_width("情報")
        (True, 18.0)
    """
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    rest = "".join(
        character for character in text if unicodedata.east_asian_width(character) not in "WF"
    )
    return wide * SIZE_POINTS + (_advance(rest) if rest else 0.0)


def wrapped(text: str, width: float) -> list[str]:
    r"""Return a stranger's text as lines no wider than `width` points; nothing is left out.

    Lines break after spaces and after signs that join names, such as ',' or '_', and within a
    word only where it alone is too wide. Control characters are escaped.

    Example:
        >>> wrapped("training.lr=0.001,sharing.method=pal", 110)
        ['training.lr=0.001,', 'sharing.method=pal']
        >>> wrapped("a\nb", 100)
        ['a\\nb']
    """
    lines = [""]
    for piece in _fitting(printable(text), width):
        if lines[-1] and text_width((lines[-1] + piece).rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return [line.strip() for line in lines if line.strip()] or [""]


def _fitting(text: str, width: float) -> list[str]:
    """Return the pieces between which a line may break, each of which fits a line."""
    pieces = []
    for piece in _BREAK.split(text):
        while text_width(piece.rstrip()) > width and len(piece) > 1:
            count = next(
                n for n in range(len(piece) - 1, 0, -1) if n == 1 or text_width(piece[:n]) <= width
            )
            pieces.append(piece[:count])
            piece = piece[count:]  # noqa: PLW2901 - what is left of it
        pieces.append(piece)
    return pieces


def _advance(text: str) -> float:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        width, _, _ = text_to_path.get_text_width_height_descent(text, _FONT, ismath=False)
    return float(width)
