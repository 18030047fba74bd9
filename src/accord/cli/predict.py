"""`accord predict`: a file in, a file of predictions out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from accord.cli.options import quiet_option, quoting_option

if TYPE_CHECKING:
    from accord.config.sections import Precision
    from accord.config.tasks import QuotingName
    from accord.judging.predictions import Format


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--task", help="Which of the model's tasks; needed where it has several.")
@click.option(
    "--input", "source", required=True, type=click.Path(path_type=Path),
    help="A file with the task's text columns; or a pattern or folder of such files.",
)  # fmt: skip
@click.option("--output", "target", required=True, type=click.Path(path_type=Path))
@click.option(
    "--format", "form", type=click.Choice(["csv", "jsonl", "cs224n"]),
    help="Default: by the output's name.",
)  # fmt: skip
@click.option(
    "--text", "columns", multiple=True, metavar="COLUMN",
    help="The text column, where it is named otherwise than in training; twice for a pair.",
)  # fmt: skip
@click.option(
    "--precision", type=click.Choice(["float32", "bfloat16"]), default="float32", show_default=True
)
@quoting_option
@quiet_option
def predict(
    model: Path,
    task: str | None,
    source: Path,
    target: Path,
    form: Format | None,
    columns: tuple[str, ...],
    precision: Precision,
    quoting: QuotingName | None,
    quiet: bool,
) -> None:
    """Predict every row of --input with MODEL, a run folder or a model folder."""
    from accord.errors import UsageError
    from accord.model.saved import find_model_folder, read_tasks

    tasks, _, _ = read_tasks(find_model_folder(model))
    if task is None:
        if len(tasks) > 1:
            names = ", ".join(own.name for own in tasks)
            raise UsageError(f"--task is missing: the model has several: {names}")
        task = tasks[0].name
    if not target.absolute().parent.is_dir():
        raise UsageError(f"{target}: there is no folder {target.parent}")

    from accord.judging.predict import load
    from accord.runs.progress import Console

    console = Console(quiet)
    predictor = load(model, precision=precision)
    predictor.read_quotes(task, quoting)
    rows = predictor.predict_file(task, source, target, form, columns, console)
    console.say(f"{rows} predictions of task '{task}' in {target}")
