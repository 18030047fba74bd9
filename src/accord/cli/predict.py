"""`accord predict`: a file in, a file of predictions out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from accord.cli.options import PATH, quiet_option, quoting_option
from accord.plural import count

if TYPE_CHECKING:
    from accord.data.textfiles import QuotingName
    from accord.evaluation.prediction_formats import Format
    from accord.plan.run import Precision


@click.command()
@click.argument("model", type=PATH)
@click.option("--task", help="Which of the model's tasks; needed where it has several.")
@click.option(
    "--input", "source", required=True, type=PATH,
    help="A file with the task's text columns; or a pattern or folder of such files.",
)  # fmt: skip
@click.option(
    "--output", "target", required=True, type=PATH,
    help="A file, named by its format: .csv, .tsv, .json, .jsonl (also .gz of these) or .parquet;"
    " or a pipe or device; - is standard output.",
)  # fmt: skip
@click.option(
    "--format", "form", type=click.Choice(["csv", "tsv", "json", "jsonl", "parquet", "cs224n"]),
    help="Default: by the output's name.",
)  # fmt: skip
@click.option(
    "--text", "text", multiple=True, metavar="COLUMN",
    help="The text column, if it has another name than in training; twice for a pair.",
)  # fmt: skip
@click.option(
    "--id", "id_column", metavar="COLUMN",
    help="The column of the input that `id` is copied from. Default: training's, if it is there;"
    " without one there are no ids.",
)  # fmt: skip
@click.option(
    "--on-bad-row", type=click.Choice(["stop", "skip"]), default="stop",
    help="skip: a row that can't be read keeps its place, with an empty answer and the reason"
    " in `error`.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace an existing output file.")
@click.option("--precision", type=click.Choice(["float32", "bfloat16"]), default="float32")
@quoting_option
@quiet_option
def predict(
    model: Path,
    task: str | None,
    source: Path,
    target: Path,
    form: Format | None,
    text: tuple[str, ...],
    id_column: str | None,
    on_bad_row: str,
    force: bool,
    precision: Precision,
    quoting: QuotingName | None,
    quiet: bool,
) -> None:
    """Predict every row of --input with MODEL, a run folder or a model folder."""
    from accord.data.datafiles import find_files
    from accord.errors import UsageError
    from accord.evaluation.output import Output, refuse_sources
    from accord.model.saved import find_model_folder, read_tasks

    folder = find_model_folder(model)
    tasks, _, _ = read_tasks(folder)
    if task is None:
        if len(tasks) > 1:
            names = ", ".join(known.name for known in tasks)
            raise UsageError(f"--task is missing: the model has several: {names}")
        task = tasks[0].name
    output = Output.at(target, form, force)
    refuse_sources(output, find_files(str(source)), folder)

    from accord.evaluation.predict import load
    from accord.evaluation.predict_file import Source, predict_file
    from accord.runs.progress import Console

    console = Console(quiet)
    predictor = load(model, precision=precision)
    predictor.read_quotes(task, quoting)
    rows = Source(source, text, id_column, skip_bad_rows=on_bad_row == "skip")
    written = predict_file(predictor, task, rows, output, console)
    ids = "" if written.ids else ", without ids (--id COLUMN takes the input's)"
    console.say(f"{count(written.rows, 'prediction')} of task '{task}' in {target}{ids}")
