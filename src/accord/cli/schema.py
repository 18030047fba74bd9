"""`accord schema`: the config as JSON Schema, for editors."""

from __future__ import annotations

from pathlib import Path

import click

from accord.cli.options import PATH
from accord.terminal import echo


@click.command()
@click.option("-o", "--output", type=PATH, help="The file to write; default: standard output.")
def schema(output: Path | None) -> None:
    """Print the JSON Schema of a config, by which an editor completes and checks it.

    'accord init' writes it beside the config, whose first line names it. This command writes it
    anew, after an update of Accord or for a config of your own.
    """
    from accord.config.schema import schema_text, write_schema

    if output is None:
        echo(*schema_text().splitlines())
    else:
        write_schema(output)
        echo(f"wrote {output}")
