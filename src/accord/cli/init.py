"""`accord init`: writes a starter configuration."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from accord.cli.options import PATH
from accord.errors import UsageError, nearest
from accord.terminal import echo, quoted

if TYPE_CHECKING:
    from accord.data.guessing import GuessedTask

_HUB_ENCODER = "bert-base-uncased"


@click.command()
@click.argument("files", nargs=-1, type=PATH)
@click.option(
    "-o", "--output", type=PATH, default=Path("accord.toml"),
    help="The file to write; it must not exist.",
)  # fmt: skip
@click.option("--encoder", metavar="PATH", help=f"Folder or hub id; default: {_HUB_ENCODER}.")
@click.option("--recipe", metavar="NAME", help="A ready-made configuration: cs224n or assistant.")
@click.option("--data", type=PATH, help="The recipe's folder of data files.")
def init(
    files: tuple[Path, ...],
    output: Path,
    encoder: str | None,
    recipe: str | None,
    data: Path | None,
) -> None:
    """Write a starter configuration for labelled FILES, or a recipe's.

    Guesses which files belong together, their columns and what kind of task they hold, and says
    what it guessed and why.
    """
    _check_usage(files, output, recipe, data)
    if recipe is not None and data is not None:
        from accord.recipes.ready import recipe as ready

        text = ready(recipe, data, _encoder_path(encoder))
    else:
        text = _guess(files, output, _encoder_path(encoder))
    tasks = _write(output, text)
    if encoder is None:
        echo(f"encoder: '{_HUB_ENCODER}' from the hub, since --encoder names none")
    echo(f"wrote {output}; next: accord check {quoted(output)}")
    if tasks > 1:
        echo(f"a first look at sharing: accord compare {quoted(output)} --out runs/look --quick")


def _check_usage(
    files: Sequence[Path], output: Path, recipe: str | None, data: Path | None
) -> None:
    from accord.recipes.ready import recipe_names

    if recipe is not None and recipe not in recipe_names():
        hint = nearest(recipe, recipe_names())
        raise UsageError(f"--recipe: no recipe '{recipe}'{hint}")
    if recipe is not None and (files or data is None):
        raise UsageError(f"--recipe {recipe} takes --data FOLDER, and no files")
    if recipe is None and data is not None:
        raise UsageError("--data goes with --recipe; name the data files themselves instead")
    if recipe is None and not files:
        raise UsageError(
            "name data files, or --recipe NAME --data FOLDER: " + ", ".join(recipe_names())
        )
    if output.exists():
        raise UsageError(f"{output}: exists already; choose another name with -o")
    if not output.absolute().parent.is_dir():
        raise UsageError(f"{output}: there is no folder {output.absolute().parent}")


def _encoder_path(encoder: str | None) -> str:
    if encoder is None:
        return _HUB_ENCODER
    folder = Path(encoder).expanduser()
    # The configuration may stand elsewhere, so a folder is named in full.
    return str(folder.absolute()) if folder.is_dir() else encoder


def _guess(files: Sequence[Path], output: Path, encoder: str) -> str:
    from accord.data.guessing import guess_tasks
    from accord.recipes.starter import starter_config

    tasks = guess_tasks(files)
    for task in tasks:
        _say(task)
    return starter_config(tasks, encoder, output.absolute().parent)


def _say(task: GuessedTask) -> None:
    echo(f"{task.name}: {task.kind}")
    for split, paths in task.files.items():
        echo(f"  {split}: {', '.join(map(str, paths))}")
    for reason in task.reasons:
        echo(f"  {reason}")


def _write(output: Path, text: str) -> int:
    """Write the config and its schema; return how many tasks it has."""
    from accord.config.file import parse_config
    from accord.config.schema import write_with_schema

    config = parse_config(tomllib.loads(text), where=str(output))
    try:
        write_with_schema(output, text)
    except UnicodeEncodeError:
        raise UsageError("a file's or folder's name is not UTF-8: no config can say it") from None
    return len(config.tasks)
