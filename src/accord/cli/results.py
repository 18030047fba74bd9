"""Tables of results on stdout."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

from accord.terminal import echo, shown, writing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from accord.report.page import Section
    from accord.training.run import Run

_READING = """\
dev: the rows that chose the epoch. held out: rows that chose nothing, for comparisons.
gap: by how much a figure is too good when the same dev rows choose the epoch and evaluate it.
constant: the best constant prediction on the held-out rows, such as the majority class."""
_LONG = ("errors-", "ledger")  # names of tables that a terminal has no room for


def show_run(run: Run, as_json: bool) -> None:
    """Print a finished run's metrics, on dev and held out: one row per task.

    Raises:
        RunFolderError: if it was made before there were held-out figures.
    """
    from accord.evaluation.heldout import require_heldout

    results = run.results
    require_heldout(run.folder, results)
    if as_json:
        echo(json.dumps({"run": str(run.folder), **results}))
        return
    heldout = results["heldout"]
    table = new_table("task", "metric", "dev", "held out", "on", "gap", "constant", left=2)
    for name, value in results["metrics"].items():
        shown = _heldout_cells(heldout.get(name))
        table.add_row(name, results["metric_names"][name], f"{value:z.4f}", *shown)
    for name, figures in results["figures"].items():
        if name not in results["metrics"]:
            shown = _heldout_cells(None)
            table.add_row(name, "likelihood", f"{figures['likelihood']:z.4f}", *shown)
    for row in _overall_rows(results):
        table.add_row("overall", *row)
    print_table(table)
    echo(*_heldout_lines(heldout), *_early_lines(results))
    if "stages" in results:
        _show_stages(results)


def _heldout_cells(entry: dict[str, Any] | None) -> tuple[str, str, str, str]:
    """Return a task's held-out value, the rows that it is of, the gap, and what the best constant
    prediction gets, as shown."""
    if entry is None:
        return "–", "–", "–", "–"
    rows = f"{entry['rows']:,} rows of {entry['on']}"
    return f"{entry['value']:z.4f}", rows, f"{entry['gap']:+z.4f}", f"{entry['constant']:z.4f}"


def _heldout_lines(heldout: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield how to read the held-out columns, and the notes on single tasks."""
    if heldout:
        yield from _READING.splitlines()
    for name, entry in heldout.items():
        for key in ("remark", "note"):
            if key in entry:
                yield f"{name}: {entry[key]}"


def _early_lines(results: dict[str, Any]) -> Iterator[str]:
    """Yield that the run, or stages of it, ended before the last epoch."""
    for part in results.get("stages") or [results]:
        if early := part.get("stopped_early"):
            where = f"stage {part['name']} " if "stages" in results else ""
            yield where + early["why"]


def _overall_rows(results: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield each overall score's name, and its values on dev and held out."""
    from accord.metrics import mean_score

    heldout = {name: entry["value"] for name, entry in results["heldout"].items()}
    mean = mean_score(heldout) if heldout else None
    rows = {results["score_kind"]: (results["score"], results.get("heldout_score"))}
    for score, (dev, other) in {**rows, "mean": (results["mean"], mean)}.items():
        yield score, f"{dev:z.4f}", "–" if other is None else f"{other:z.4f}", "", "", ""


def _show_stages(results: dict[str, Any]) -> None:
    """Print every task's held-out metric after each stage, and what was forgotten.

    Where no task of a stage has labels, it is the dev likelihood.
    """
    rows = results["stages"]
    values_of = [row["heldout"] or row["metrics"] for row in rows]
    names = list(dict.fromkeys(name for stage_values in values_of for name in stage_values))
    table = new_table("after stage", "trained", *names, left=2)
    for row, row_values in zip(rows, values_of, strict=True):
        shown = (row_values.get(name) for name in names)
        values = ("–" if figure is None else f"{figure:z.4f}" for figure in shown)
        table.add_row(row["name"], ", ".join(row["tasks"]), *values)
    print_table(table)
    continual = results.get("continual", {})
    figures = [
        f"{key.replace('_', ' ')} {figure:z.4f}"
        for key, figure in continual.items() if isinstance(figure, float)
    ]  # fmt: skip
    if figures:
        echo(f"{', '.join(figures)} (of {continual['of']})")


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
