"""`accord ensemble`: several runs as one model."""

from __future__ import annotations

from pathlib import Path

import click

from accord.cli.options import PATH
from accord.plural import count
from accord.terminal import echo


@click.command()
@click.argument("runs", nargs=-1, required=True, type=PATH)
@click.option("--out", required=True, type=PATH, help="The model's folder.")
def ensemble(runs: tuple[Path, ...], out: Path) -> None:
    """Write folder --out with the models of RUNS, whose answers are averaged.

    RUNS are finished runs or model folders of the same tasks, as of several seeds. The new folder
    is a model like any other to predict and evaluate.
    """
    from accord.derived.ensemble import ensemble as run

    members = count(run(runs, out), "member")
    echo(f"{members} written to {out}")
