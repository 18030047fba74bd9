"""`accord export`: one task's model out of a shared one."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--task", required=True, help="Name of the task.")
def export(model: Path, out: Path, task: str) -> None:
    """Write folder OUT with the model of one task of MODEL: a plain BERT with its head.

    MODEL is a run folder or its model/. Low-rank updates are merged, and a task's own norms and
    layers take the shared ones' place; adapters and PALs have no plain form.
    """
    from accord.derived.export import export as run

    run(model, out, task)
    click.echo(f"model of '{task}' written to {out}")
