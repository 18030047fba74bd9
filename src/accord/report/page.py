"""What a report holds: sections of paragraphs, tables and figures."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Table:
    """Rows of text.

    Attributes:
        name: a slug, of the CSV file and the link.
        title: one line.
        columns: names.
        rows: as many cells as columns.
        left: how many of the first columns are text; the others are numbers.
        note: what a reader has to know, or nothing.
    """

    name: str
    title: str
    columns: list[str]
    rows: list[list[str]]
    left: int = 1
    note: str = ""

    def __post_init__(self) -> None:
        _check_slug(self.name)
        for i, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ValueError(
                    f"table '{self.name}': row {i} has {len(row)} cells for"
                    f" {len(self.columns)} columns"
                )


@dataclass(frozen=True)
class Figure:
    """A picture with the sentence that it shows.

    Attributes:
        name: a slug, of the SVG file and the link.
        title: one line.
        svg: one `<svg>` element, no declaration; its ids are unlike those of other figures.
        sentence: what follows from the data.
        save: draws the same picture in another format, 'pdf' or 'png'; None where it can't be
            drawn again.
    """

    name: str
    title: str
    svg: str
    sentence: str
    save: Callable[[str], bytes] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        _check_slug(self.name)

    def drawn_as(self, format_: str) -> bytes:
        """Return the file of the same picture in another format, 'pdf' or 'png'.

        Raises:
            ValueError: if the figure can't be drawn again.
        """
        if self.save is None:
            raise ValueError(f"figure '{self.name}': is an SVG alone")
        return self.save(format_)


@dataclass(frozen=True)
class Section:
    """A part of the report: paragraphs, then tables and figures."""

    title: str
    text: list[str]
    items: list[Table | Figure]


def slug(text: str) -> str:
    """Return a text as a name for a table or figure.

    Example:
        >>> slug("SST_2: errors")
        'sst-2-errors'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"


def slugs(texts: Iterable[str]) -> dict[str, str]:
    """Return each text's name for a table or figure, no two of them alike.

    Example:
        >>> slugs(["sst-2", "SST_2"])
        {'sst-2': 'sst-2', 'SST_2': 'sst-2-2'}
    """
    names: dict[str, str] = {}
    for text in dict.fromkeys(texts):
        name = slug(text)
        while name in names.values():
            name += "-2"
        names[text] = name
    return names


def _check_slug(name: str) -> None:
    # A file's name and a link's target: nothing that a path or a browser could read otherwise.
    if not re.fullmatch(r"[a-z0-9-]+", name):
        raise ValueError(f"name {name!r}: takes a-z, 0-9 and '-' alone, such as '{slug(name)}'")
