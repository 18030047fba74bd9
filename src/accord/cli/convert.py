"""`accord convert`: a pickled checkpoint becomes safetensors."""

from __future__ import annotations

from pathlib import Path

import click

from accord.cli.options import PATH
from accord.plural import count
from accord.terminal import echo, tell


@click.command()
@click.argument("source", type=PATH)
@click.argument("out", type=PATH)
def convert(source: Path, out: Path) -> None:
    """Write folder OUT with the weights of SOURCE, a pickled file or a folder with one.

    Nothing else in Accord reads a pickle. torch's loader for weights alone runs no code from it;
    whatever a file holds besides tensors is left out.
    """
    from accord.encoders.convert import WEIGHTS
    from accord.encoders.convert import convert as run

    tensors = count(run(source, out), "tensor")
    echo(f"{tensors} written to {out / WEIGHTS}")
    if not (out / "config.json").exists():
        tell(
            f"no config.json stands beside {source}: {out} becomes an encoder with the config.json"
            " and the tokenizer of the model that its training began with"
        )
