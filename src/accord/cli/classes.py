"""Figures of each class on stdout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accord.cli.results import new_table, print_table
from accord.terminal import echo

if TYPE_CHECKING:
    from accord.metrics import ByClass

_SHOWN, _SHOWN_ERRORS = 20, 5


def show_classes(task: str, each: ByClass) -> None:
    """Print a task's classes, the worst first, and its most frequent errors."""
    from accord.report.classes import class_cells

    shown, rest = each.worst[:_SHOWN], each.worst[_SHOWN:]
    table = new_table("class", "rows", "precision", "recall", "F1")
    for row in class_cells(each, shown):
        table.add_row(*row)
    echo("", f"{task}: its classes, by F1")
    print_table(table)
    if rest:
        which = "with a better F1" + " or without rows" * (not each.support[rest].all())
        echo(f"{len(rest):,} classes {which} are not shown; --json has all.")
    if errors := each.confused(_SHOWN_ERRORS):
        taken = ", ".join(
            f"'{true}' for '{predicted}' {rows:,}" for true, predicted, rows in errors
        )
        echo(f"{task}: taken for another most often: {taken}")
