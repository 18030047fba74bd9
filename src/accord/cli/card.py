"""`accord card`: a model's card, as the hub shows it."""

from __future__ import annotations

from pathlib import Path

import click

from accord.cli.options import PATH
from accord.terminal import echo


@click.command()
@click.argument("model", type=PATH)
@click.option(
    "--output",
    type=PATH,
    help="Where to; - is standard output.  [default: README.md in the model folder]",
)
@click.option(
    "--licence", "--license", metavar="NAME",
    help="The model's licence, as the hub spells it (apache-2.0, mit, ...), or any other's name.",
)  # fmt: skip
def card(model: Path, output: Path | None, licence: str | None) -> None:
    """Write the card of MODEL, a run folder or a model folder: Markdown with YAML front matter.

    It says what the model is, each task with its labels, data by the names of files, figures with
    intervals and what they were chosen on, costs, limits, and how to load the model; no folder of
    this machine is named. Of a model folder that lies in no run it says what is known. Never
    overwrites a file that it didn't write itself, or that was changed since.
    """
    from accord.publishing.card import card as text_of
    from accord.publishing.known import know
    from accord.publishing.readme import README, write_card

    known = know(model)
    text = text_of(known, licence)
    if output is not None and str(output) == "-":
        echo(*text.splitlines())
        return
    file = known.folder / README if output is None else output
    write_card(file, text)
    echo(f"card written to {file}")
