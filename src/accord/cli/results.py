"""Tables of results on stdout."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.table import Table

    from accord.training import Run


def show_run(run: Run, as_json: bool) -> None:
    """Print a finished run's dev metrics: one row a task."""
    results = run.results
    if as_json:
        click.echo(json.dumps({"run": str(run.folder), **results}))
        return
    table = new_table("task", "metric", "dev")
    for name, value in results["metrics"].items():
        table.add_row(name, results["metric_names"][name], f"{value:.4f}")
    table.add_row("overall", results["score_kind"], f"{results['score']:.4f}")
    print_table(table)


def new_table(*columns: str, left: int = 1) -> Table:
    """Return a table whose columns after the first `left` are numbers."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i < left else "right", no_wrap=i > 0)
    return table


def print_table(table: Table) -> None:
    """Print a table on stdout, wide enough where that is no terminal."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=160)
    console.print(table)


def figures(values: dict[str, float]) -> list[str]:
    """Format figures by name: `accuracy 0.512`."""
    return [f"{name} {value:.4f}" for name, value in values.items()]


Json = dict[str, Any]
