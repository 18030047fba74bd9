"""What a report holds, and its page: HTML, Markdown, a CSV a table and an SVG a figure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from accord.durable import write_whole
from accord.errors import RunFolderError


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
    """

    name: str
    title: str
    svg: str
    sentence: str

    def __post_init__(self) -> None:
        _check_slug(self.name)


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


def write_report(out: Path, title: str, lead: list[str], sections: list[Section]) -> None:
    """Write report.html, report.md, tables/NAME.csv and figures/NAME.svg.

    All text is plain text: it is escaped, whatever it holds. The pages come last, so that they
    never name a file that isn't there; files of an earlier report in the folder are replaced.

    Args:
        out: the folder; made where it is missing.
        title: of the page.
        lead: paragraphs before the first section.
        sections: in their order.

    Raises:
        ValueError: two tables, or two figures, have one name.
        RunFolderError: if a file can't be written.
    """
    # These two take what is defined here.
    from accord.report.html import html_page
    from accord.report.plain import csv_text, markdown_page

    try:
        for folder in ("tables", "figures"):
            (out / folder).mkdir(parents=True, exist_ok=True)
        for item in _items(sections):
            if isinstance(item, Table):
                write_whole(out / "tables" / f"{item.name}.csv", csv_text(item))
            else:
                write_whole(out / "figures" / f"{item.name}.svg", item.svg)
        write_whole(out / "report.md", markdown_page(title, lead, sections))
        write_whole(out / "report.html", html_page(title, lead, sections))
    except OSError as error:
        place = error.filename or out
        raise RunFolderError(f"{place}: can't be written: {error.strerror}") from None


def _items(sections: list[Section]) -> Iterator[Table | Figure]:
    seen: set[tuple[type, str]] = set()
    for item in (item for section in sections for item in section.items):
        key = (type(item), item.name)
        if key in seen:
            raise ValueError(f"two of the report's {key[0].__name__.lower()}s are '{item.name}'")
        seen.add(key)
        yield item


def _check_slug(name: str) -> None:
    # A file's name and a link's target: nothing that a path or a browser could read otherwise.
    if not re.fullmatch(r"[a-z0-9-]+", name):
        raise ValueError(f"name {name!r}: takes a-z, 0-9 and '-' alone, such as '{slug(name)}'")
