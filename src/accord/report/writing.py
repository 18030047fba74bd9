"""A report's files: HTML, Markdown, a CSV for each table and an SVG for each figure, and more
formats on request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from accord.durable import write_atomic
from accord.errors import RunFolderError
from accord.report.formats import FORMATS
from accord.report.html import html_page
from accord.report.latex import latex_table
from accord.report.page import Figure, Section, Table
from accord.report.plain import csv_text, markdown_page


def write_report(
    out: Path,
    title: str,
    lead: list[str],
    sections: list[Section],
    formats: Sequence[str] = (),
) -> None:
    """Write report.html, report.md, tables/NAME.csv and figures/NAME.svg.

    With 'pdf' or 'png' each figure is also written as figures/NAME.pdf or NAME.png (300 dots per
    inch), with 'latex' each table as tables/NAME.tex. What an earlier report left of a figure or
    table in a format that is not asked for is removed, as it would show other data.

    All text is plain text: it is escaped, whatever it holds. The pages come last, so that they
    never name a file that isn't there; files of an earlier report in the folder are replaced.

    Args:
        out: the folder; made where it is missing.
        title: of the page.
        lead: paragraphs before the first section.
        sections: in their order.
        formats: any of `accord.report.formats.FORMATS`.

    Raises:
        ValueError: two tables, or two figures, have one name; a format is unknown.
        RunFolderError: if a file can't be written.
    """
    if unknown := [own for own in formats if own not in FORMATS]:
        raise ValueError(f"no format '{unknown[0]}': takes {', '.join(FORMATS)}")
    try:
        for folder in ("tables", "figures"):
            (out / folder).mkdir(parents=True, exist_ok=True)
        for item in _items(sections):
            if isinstance(item, Table):
                _write_table(out, item, formats)
            else:
                _write_figure(out, item, formats)
        write_atomic(out / "report.md", markdown_page(title, lead, sections, formats))
        write_atomic(out / "report.html", html_page(title, lead, sections, formats))
    except OSError as error:
        place = error.filename or out
        raise RunFolderError(f"{place}: can't be written: {error.strerror}") from None


def _write_table(out: Path, table: Table, formats: Sequence[str]) -> None:
    write_atomic(out / "tables" / f"{table.name}.csv", csv_text(table))
    tex = out / "tables" / f"{table.name}.tex"
    if "latex" in formats:
        write_atomic(tex, latex_table(table))
    else:
        tex.unlink(missing_ok=True)


def _write_figure(out: Path, figure: Figure, formats: Sequence[str]) -> None:
    write_atomic(out / "figures" / f"{figure.name}.svg", figure.svg)
    for format_ in ("pdf", "png"):
        file = out / "figures" / f"{figure.name}.{format_}"
        if format_ in formats:
            write_atomic(file, figure.drawn_as(format_))
        else:
            file.unlink(missing_ok=True)


def _items(sections: list[Section]) -> Iterator[Table | Figure]:
    seen: set[tuple[type, str]] = set()
    for item in (item for section in sections for item in section.items):
        key = (type(item), item.name)
        if key in seen:
            raise ValueError(f"two of the report's {key[0].__name__.lower()}s are '{item.name}'")
        seen.add(key)
        yield item
