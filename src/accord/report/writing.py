"""A report's files: HTML, Markdown, a CSV a table and an SVG a figure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from accord.durable import write_whole
from accord.errors import RunFolderError
from accord.report.html import html_page
from accord.report.page import Figure, Section, Table
from accord.report.plain import csv_text, markdown_page


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
