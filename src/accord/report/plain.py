"""A report as Markdown, and its tables as CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence

from accord.errors import printable
from accord.report.page import Figure, Section, Table

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def markdown_page(
    title: str, lead: list[str], sections: list[Section], formats: Sequence[str] = ()
) -> str:
    """Return the whole report, figures as links to their files.

    Args:
        title: of the report.
        lead: paragraphs before the first section.
        sections: in their order.
        formats: in which figures and tables have files besides SVG and CSV.
    """
    blocks = [f"# {escape_markdown(title)}", *map(_paragraph, lead)]
    for section in sections:
        blocks += [f"## {escape_markdown(section.title)}", *map(_paragraph, section.text)]
        for item in section.items:
            blocks += _table(item, formats) if isinstance(item, Table) else _figure(item, formats)
    return "\n\n".join(blocks) + "\n"


def escape_markdown(text: str) -> str:
    r"""Return plain text so that Markdown shows it as it is, on one line.

    Example:
        >>> escape_markdown("a|b <i> [x](y)")
        'a\\|b &lt;i&gt; \\[x\\](y)'
    """
    # '<' becomes an entity: a renderer that knows no backslash before it would let HTML through.
    escaped = re.sub(r"[\\`*_\[\]|~$!]", r"\\\g<0>", printable(text))
    return re.sub("[&<>]", lambda matched: _ENTITIES[matched[0]], escaped)


def csv_text(table: Table) -> str:
    """Return a table as CSV, its header first."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([_safe(cell) for cell in row] for row in (table.columns, *table.rows))
    return text.getvalue()


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """Return rows of plain text as a table of Markdown, of which the first `left` columns are text.

    Example:
        >>> print(markdown_table(["a", "b"], [["x|y", "1"]], 1))
        | a | b |
        | :-- | --: |
        | x\\|y | 1 |
    """
    rules = [":--" if i < left else "--:" for i in range(len(columns))]
    escaped = [[escape_markdown(cell) for cell in row] for row in (columns, *rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (escaped[0], rules, *escaped[1:]))


def _table(table: Table, formats: Sequence[str]) -> Iterator[str]:
    links = f"[CSV](tables/{table.name}.csv)"
    links += f", [LaTeX](tables/{table.name}.tex)" if "latex" in formats else ""
    yield f"**{escape_markdown(table.title)}** ({links})"
    yield markdown_table(table.columns, table.rows, table.left)
    if table.note:
        yield _paragraph(table.note)


def _figure(figure: Figure, formats: Sequence[str]) -> Iterator[str]:
    title = escape_markdown(figure.title)
    links = ", ".join(
        f"[{form.upper()}](figures/{figure.name}.{form})"
        for form in ("pdf", "png")
        if form in formats
    )
    yield f"**{title}**{f' ({links})' if links else ''}"
    yield f"![{title}](figures/{figure.name}.svg)"
    yield _paragraph(figure.sentence)


def _paragraph(text: str) -> str:
    """Escape also what means a heading, a list or a rule where it begins a line."""
    return re.sub(r"^(\s*\d*)([-+#=.)])", r"\1\\\2", escape_markdown(text).strip())


def _safe(cell: str) -> str:
    """Keep a spreadsheet from running what a data file's author wrote as a formula.

    A spreadsheet reads a cell that begins with = + - @ as a formula, and formulas can start
    programs or call addresses. Texts and labels are strangers', so such a cell gets a leading
    quote. Numbers, and ranges of them, stay as they are: without letters nothing can be called.
    """
    cell = printable(cell)
    if cell[:1] not in "=+-@" or not cell:
        return cell
    try:
        float(cell)
    except ValueError:
        figures = re.fullmatch(r"[-+−–±.,%()\d ]+", cell.replace(" to ", " "))
        return cell if figures else f"'{cell}"
    return cell
