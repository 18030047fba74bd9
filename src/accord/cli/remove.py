"""`accord remove`: a trained model without some of its tasks."""

from __future__ import annotations

from pathlib import Path

import click

from accord.cli.options import PATH, quiet_option
from accord.terminal import echo


@click.command()
@click.argument("model", type=PATH)
@click.argument("tasks", nargs=-1, required=True, metavar="TASK...")
@click.option("--out", required=True, type=PATH, help="The new model's folder.")
@quiet_option
def remove(model: Path, tasks: tuple[str, ...], out: Path, quiet: bool) -> None:
    """Write folder --out: MODEL without the head, and the parts, of some tasks.

    MODEL is a run folder or its model/. The other tasks answer to the byte as they did, which is
    checked on their dev texts, where the run's files can still be read, before anything is written.
    """
    from accord.derived.removing import remove_tasks
    from accord.runs.progress import Console

    lines = remove_tasks(model, tasks, out, Console(quiet).say)
    echo(*lines, f"model written to {out}")
