"""Results as lines and tables: for the command line, a Python prompt and a notebook alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

from rich.cells import cell_len

from accord.errors import printable

_MOST_ROWS = 30
_MOST_CHARACTERS = 60  # of a cell
_CELL = "padding:0.15em 0.8em 0.15em 0"  # colours, and so light and dark, are the notebook's own


@dataclass(frozen=True)
class Table:
    """Rows of text under the names of their columns.

    Attributes:
        columns: their names.
        left: how many of them, from the first, are texts; the others are numbers.
        text_last: whether the last is a text, too.
        rows: as many cells each.
    """

    columns: Sequence[str]
    left: int = 1
    text_last: bool = False
    rows: list[Sequence[str]] = field(default_factory=list)

    def is_text(self, column: int) -> bool:
        """Return whether a column, counted from 0, holds texts."""
        return column < self.left or (self.text_last and column == len(self.columns) - 1)


Part = str | Table
"""A line, or a table."""


class Shown:
    """A result that a prompt shows as text and a notebook as tables: what the command prints."""

    def shown(self) -> Iterable[Part]:
        """Yield lines and tables."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return as_text(self.shown())

    def _repr_html_(self) -> str:
        return as_html(self.shown())


def as_text(parts: Iterable[Part]) -> str:
    """Return lines and tables as plain text; of long tables the first rows.

    Example:
        >>> print(as_text([Table(("task", "value"), rows=[("mood", "0.5")]), "a line"]))
        task  value
        mood    0.5
        a line
    """
    lines = list[str]()
    for part in parts:
        lines += [printable(part)] if isinstance(part, str) else _text_rows(part)
    return "\n".join(lines).strip("\n")


def _text_rows(table: Table) -> Iterable[str]:
    rows, more = _first(table)
    names = [*map(_short, table.columns)]
    widths = [max(map(cell_len, column)) for column in zip(names, *rows, strict=True)]
    for row in (names, *rows):
        cells = []
        for i, (cell, width) in enumerate(zip(row, widths, strict=True)):
            room = " " * (width - cell_len(cell))
            cells.append(cell + room if table.is_text(i) else room + cell)
        yield "  ".join(cells).rstrip()
    yield from more


def as_html(parts: Iterable[Part]) -> str:
    """Return lines and tables as HTML without colours; every text is escaped.

    Example:
        >>> as_html(["a < b"])
        '<div>a &lt; b</div>'
    """
    return "".join(_html_line(part) if isinstance(part, str) else _html(part) for part in parts)


def _html_line(line: str) -> str:
    return f"<div>{escape(printable(line))}</div>" if line else ""


def _html(table: Table) -> str:
    rows, more = _first(table)
    names = map(_short, table.columns)
    head = "".join(_html_cell("th", name, table, i) for i, name in enumerate(names))
    body = "".join(
        f"<tr>{''.join(_html_cell('td', cell, table, i) for i, cell in enumerate(row))}</tr>"
        for row in rows
    )
    made = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return made + "".join(map(_html_line, more))


def _html_cell(tag: str, text: str, table: Table, column: int) -> str:
    side = "left" if table.is_text(column) else "right"
    return f'<{tag} style="text-align:{side};{_CELL}">{escape(text)}</{tag}>'


def _first(table: Table) -> tuple[list[list[str]], list[str]]:
    """Return the first rows as they are shown, and a line on the others."""
    rows = [[_short(cell) for cell in row] for row in table.rows[:_MOST_ROWS]]
    left = len(table.rows) - len(rows)
    return rows, [f"… and {left:,} more"] if left else []


def _short(cell: str) -> str:
    text = printable(cell)
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"
