"""Tables of results on stdout."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

from accord.terminal import echo, shown, writing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from accord.report.page import Section
    from accord.showing import Part
    from accord.training.run import Run

_LONG = ("errors-", "ledger")  # names of tables that a terminal has no room for


def show_run(run: Run, as_json: bool) -> None:
    """Print a finished run's metrics, on dev and held out: one row per task.

    Raises:
        RunFolderError: if it was made before there were held-out figures.
    """
    from accord.evaluation.heldout import require_heldout
    from accord.runs.result_parts import result_parts

    results = run.results
    require_heldout(run.folder, results)
    if as_json:
        echo(json.dumps({"run": str(run.folder), **results}))
        return
    print_parts(result_parts(results))


def print_parts(parts: Iterable[Part]) -> None:
    """Print lines and tables on stdout."""
    for part in parts:
        if isinstance(part, str):
            echo(part)
            continue
        table = new_table(*part.columns, left=part.left, text_last=part.text_last)
        for row in part.rows:
            table.add_row(*row)
        print_table(table)


def print_report_tables(sections: Iterable[Section]) -> None:
    """Print a report's tables, except the long ones, which stand in its files."""
    from accord.report.page import Table as ReportTable

    for section in sections:
        for item in section.items:
            if isinstance(item, ReportTable) and not item.name.startswith(_LONG):
                shown = new_table(*item.columns, left=item.left)
                for row in item.rows:
                    shown.add_row(*row)
                echo("", item.title)
                print_table(shown)


class ResultsTable(Table):
    """A table of what stdout can show of texts."""

    def add_row(self, *cells: str) -> None:  # type: ignore[override]
        """Add a row."""
        super().add_row(*(shown(cell, sys.stdout) for cell in cells))


def new_table(*columns: str, left: int = 1, text_last: bool = False) -> ResultsTable:
    """Return a table without rows.

    Args:
        columns: their names.
        left: how many of them, from the first, are texts; the others are numbers.
        text_last: whether the last is a text, too.
    """
    table, last = ResultsTable(box=box.SIMPLE_HEAD, pad_edge=False), len(columns) - 1
    for i, column in enumerate(columns):
        text = i < left or (text_last and i == last)
        table.add_column(shown(column, sys.stdout), justify="left" if text else "right")
    return table


def print_table(table: ResultsTable) -> None:
    """Print a table on stdout, whole; where a terminal is too narrow, a row below the other.

    Without a terminal there is room for everything, unless `COLUMNS` says how much there is.
    """
    width = table_width(table)
    console = new_console(width)
    if width > console.width:
        echo(*stacked(table, console.width))
        return
    with writing():
        console.print(table)


def new_console(plain_width: int) -> Console:
    """Return what lays tables out for stdout, and takes no text for more than what it says.

    Args:
        plain_width: of a stdout that is no terminal, where `COLUMNS` doesn't say.
    """
    console = Console(highlight=False, markup=False, emoji=False)
    if not (console.is_terminal or os.environ.get("COLUMNS", "").isdigit()):
        console.width = plain_width
    return console


def table_width(table: ResultsTable) -> int:
    """Return how many columns of a terminal a table takes."""
    return Console(markup=False, emoji=False, width=10**6).measure(table).maximum


def stacked(table: ResultsTable, width: int) -> list[str]:
    """Return each row as a line with its name, and its cells below it with their columns' names.

    What a line is too narrow for stands in it whole.
    """
    first, *others = (str(column.header) for column in table.columns)
    lines, nothing = [first] if first else [], ("", shown("–", sys.stdout))
    for name, *cells in zip(*(map(str, column.cells) for column in table.columns), strict=True):
        cells_text = "; ".join(
            f"{column} {cell}".strip() for column, cell in zip(others, cells, strict=True)
            if cell not in nothing
        )  # fmt: skip
        wrapped = textwrap.wrap(
            cells_text, max(1, width - 4), break_on_hyphens=False, break_long_words=False
        )
        lines += [name, *(f"    {line}" for line in wrapped)]
    return lines
