"""`accord compare`: finished runs side by side."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from accord.cli.options import as_json_option


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@as_json_option
def compare(runs: tuple[Path, ...], as_json: bool) -> None:
    """Compare the dev metrics, training time and size of finished RUNS.

    One run a line has no error bar: small differences may be chance.
    """
    from accord.compare import summarise, tasks_of

    found = [summarise(path) for path in runs]
    if as_json:
        click.echo(json.dumps([asdict(run) for run in found]))
        return

    from accord.cli.results import new_table, print_table

    tasks = tasks_of(found)
    headings = [f"{name} {metric}" for name, metric in tasks.items()]
    table = new_table("run", *headings, "best epoch", "seconds", "parameters")
    for run in found:
        values = [f"{run.metrics[name]:.3f}" if name in run.metrics else "–" for name in tasks]
        size = f"{run.parameters / 1e6:.1f} M"
        table.add_row(run.name, *values, str(run.best_epoch), f"{run.train_seconds:.0f}", size)
    print_table(table)
