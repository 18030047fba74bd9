"""`accord predict`: a file in, the file with a model's answers out."""

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
@click.option(
    "--task", "tasks", multiple=True, metavar="TASK",
    help="One of the model's tasks; may be given several times. Default: all tasks whose text"
    " columns the file has.",
)  # fmt: skip
@click.option(
    "--input", "source", required=True, type=PATH,
    help="A file with text columns, of any format that is trained on; or a pattern or folder of"
    " such files.",
)  # fmt: skip
@click.option(
    "--output", "target", required=True, type=PATH,
    help="A file, named by its format: .csv, .tsv, .json, .jsonl (also .gz of these) or .parquet;"
    " or a pipe or device; - is standard output.",
)  # fmt: skip
@click.option(
    "--format", "form", type=click.Choice(["csv", "tsv", "json", "jsonl", "parquet", "cs224n"]),
    help="Default: by the output's name. cs224n takes one task.",
)  # fmt: skip
@click.option(
    "--probabilities", is_flag=True,
    help="Add a column TASK.LABEL for each class; TASK.probabilities for choices.",
)  # fmt: skip
@click.option(
    "--suffix", default="", metavar="SUFFIX",
    help="Name columns of answers TASK and SUFFIX, such as .predicted, where the input has a column"
    " TASK.",
)  # fmt: skip
@click.option(
    "--text", "text", multiple=True, metavar="COLUMN",
    help="The text column, if it has another name than in training; twice for a pair. It is that of"
    " all tasks that take as many columns.",
)  # fmt: skip
@click.option(
    "--id", "id_column", metavar="COLUMN",
    help="The column of ids, if it has another name than in training; for --format cs224n, and for"
    " candidates to rank that stand in rows of their own.",
)  # fmt: skip
@click.option(
    "--on-bad-row", type=click.Choice(["stop", "skip"]), default="stop",
    help="skip: a row that can't be read keeps its place, with an empty answer and the reason"
    " in `error`.",
)  # fmt: skip
@click.option(
    "--safe-cells", is_flag=True,
    help="Put an apostrophe before texts in CSV and TSV that a spreadsheet would execute.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace an existing output file.")
@click.option("--precision", type=click.Choice(["float32", "bfloat16", "tf32"]), default="float32")
@quoting_option
@quiet_option
def predict(
    model: Path,
    tasks: tuple[str, ...],
    source: Path,
    target: Path,
    form: Format | None,
    probabilities: bool,
    suffix: str,
    text: tuple[str, ...],
    id_column: str | None,
    on_bad_row: str,
    safe_cells: bool,
    force: bool,
    precision: Precision,
    quoting: QuotingName | None,
    quiet: bool,
) -> None:
    """Answer every row of --input with MODEL, a run folder or a model folder.

    The output has the input's columns and, after them, a column TASK for each task.
    """
    from accord.data.datafiles import find_files
    from accord.evaluation.output import Output, refuse_sources
    from accord.model.saved import find_model_folder, read_tasks

    folder = find_model_folder(model)
    read_tasks(folder)  # a folder that is no model's is said before all else
    output = Output.at(target, form, force, safe_cells=safe_cells)
    refuse_sources(output, find_files(str(source)), folder)

    from accord.evaluation.answer_columns import Naming
    from accord.evaluation.answerable import Source
    from accord.evaluation.loading import load
    from accord.evaluation.predict_file import predict_file
    from accord.runs.progress import Console

    console = Console(quiet)
    predictor = load(model, precision=precision)
    for name in tasks or [task.name for task in predictor.tasks]:
        predictor.read_quotes(name, quoting)
    rows = Source(source, text, id_column, skip_bad_rows=on_bad_row == "skip")
    naming = Naming(probabilities, suffix)
    written = predict_file(predictor, tasks or None, rows, output, console, naming)
    answered = ", ".join(f"'{name}'" for name in written.tasks)
    of = "task" if len(written.tasks) == 1 else "tasks"
    console.say(f"{count(written.rows, 'row')} with answers of {of} {answered} in {target}")
