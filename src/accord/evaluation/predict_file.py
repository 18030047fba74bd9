"""A file's rows predicted by a model, a window at a time: memory doesn't grow with the file."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from accord.data.examples import BadRow, Example, Unlabelled, read_examples
from accord.data.files import DataFiles, files_of
from accord.data.plan import TaskPlan
from accord.data.reading import FilesReader
from accord.data.rows import Note, choose_columns
from accord.data.warnings import DataWarning
from accord.errors import DataError, UsageError
from accord.evaluation.inference import CHUNK_ROWS
from accord.evaluation.labelled_file import as_text, file_plan
from accord.evaluation.output import Output
from accord.evaluation.predict import Predictor
from accord.evaluation.prediction_formats import Record, write_records
from accord.evaluation.predictions import predicted_columns, records_of
from accord.runs.progress import Bar, Console
from accord.tasks import Task

_WINDOW_CHARACTERS = 2**23


@dataclass(frozen=True)
class Source:
    """What to predict.

    Attributes:
        path: of a file; or a pattern or folder of files.
        text: the text columns, where they are named otherwise than in training.
        id: the id column; default: the one that the model was trained by, if the file has it.
        skip_bad_rows: leave such rows without an answer, rather than stop.
    """

    path: Path
    text: tuple[str, ...] = ()
    id: str | None = None
    skip_bad_rows: bool = False


@dataclass(frozen=True)
class Predicted:
    """What was written: how many rows, and whether each has its id."""

    rows: int
    ids: bool


def predict_file(
    model: Predictor, task: str, source: Source, output: Output, console: Console | None = None
) -> Predicted:
    """Predict every row of a file.

    Every row is read before the first one is predicted: a bad one costs no time, and no file.

    Args:
        model: has the task.
        task: by name.
        source: a file with the task's text columns; labels are not needed.
        output: where the predictions go.
        console: shows progress.

    Raises:
        UsageError: if there is no such task, or a row can't be read; nothing was written.
        AccordError: if the predictions can't be written.
    """
    rows = _Rows.of(model, task, source)
    if output.form == "cs224n" and (not rows.ids or source.skip_bad_rows):
        lack = "an answer for every row" if rows.ids else "ids; --id COLUMN names the file's"
        raise UsageError(f"{source.path}: format cs224n needs {lack}")
    count = _check_rows(rows)
    with (
        Bar(console or Console(quiet=True), "row", count) as bar,
        output.open() as file,
    ):
        cut = Counter[str]()
        batches = (_answers(model, rows, window, bar, cut) for window in _windows(rows))
        write_records(file, output.form, batches, rows.task)
    for note in model.cut_notes(rows.task, cut["rows"], cut["words"], count):
        warnings.warn(note, stacklevel=2)
    return Predicted(count, rows.ids)


@dataclass(frozen=True)
class _Rows:
    """The rows of a source, read anew each time; `ids` is whether they have any."""

    source: Source
    task: Task
    plan: TaskPlan
    files: DataFiles
    ids: bool

    @staticmethod
    def of(model: Predictor, name: str, source: Source) -> _Rows:
        task, form = model.task(name), model.inputs[name]
        plan = file_plan(task, form, source.text, source.id)
        files = files_of(plan, str(source.path))
        columns = FilesReader(files).columns
        if source.id is not None:
            choose_columns(source.path, columns, [source.id])
        return _Rows(source, task, plan, files, plan.id in columns)

    def read(self, notes: list[Note] | None = None) -> Iterator[Example | BadRow]:
        """Yield the rows; `notes` gets the notes on a file as a whole."""
        for row in read_examples(self.files, self.plan, self.task, labelled=False, notes=notes):
            assert not isinstance(row, Unlabelled)  # no labels are read
            yield row


def _check_rows(rows: _Rows) -> int:
    """Return how many rows there are; warns of those that get no answer.

    Raises:
        DataError: for a bad row, or a file without rows to predict.
    """
    path, count, bad, first = rows.source.path, 0, 0, None
    notes: list[Note] = []
    for row in rows.read(notes):
        count += 1
        if isinstance(row, BadRow):
            if not rows.source.skip_bad_rows:
                raise DataError(f"{row} (--on-bad-row skip leaves its answer empty)")
            bad, first = bad + 1, first or row
    for what, cure, number in notes:
        warnings.warn(str(DataWarning(str(rows.files.paths[number]), what, cure)), stacklevel=3)
    if bad == count:
        raise DataError(f"{path}: has no rows to use" + (f"; the first: {first}" if first else ""))
    if first is not None:
        warnings.warn(
            f"{bad} of {count} rows can't be read and get no answer; the first: {first}",
            stacklevel=3,
        )
    return count


def _windows(rows: _Rows) -> Iterator[list[Example | BadRow]]:
    """Yield lists of neighbouring rows, bounded in rows and in characters."""
    window: list[Example | BadRow] = []
    characters = 0
    for row in rows.read():
        window.append(row)
        characters += sum(map(len, row.texts)) if isinstance(row, Example) else 0
        if len(window) >= CHUNK_ROWS or characters >= _WINDOW_CHARACTERS:
            yield window
            window, characters = [], 0
    if window:
        yield window


def _answers(
    model: Predictor, rows: _Rows, window: Sequence[Example | BadRow], bar: Bar, cut: Counter[str]
) -> list[Record]:
    """Return a record for each row of a window; an unreadable row's says why it has no answer.

    `cut` counts the rows whose texts are cut, and words that the model doesn't see.
    """
    examples = [row for row in window if isinstance(row, Example)]
    texts = [example.given[0] if example.given else example.texts for example in examples]
    answered = model.answered([rows.task.name], [as_text(one) for one in examples])[rows.task.name]
    logits = answered.logits
    cut.update(rows=answered.cut, words=answered.unseen)
    before = {"id": [example.id for example in examples]} if rows.ids else {}
    columns = predicted_columns(logits, rows.task, before, texts=texts)
    answers, blank = records_of(columns), dict.fromkeys(columns)
    bar.advance(len(window))
    if not rows.source.skip_bad_rows:
        return answers
    following = iter(answers)
    return [
        {**next(following), "error": None}
        if isinstance(row, Example)
        else {**blank, "error": f"line {row.line}: {row.reason}"}
        for row in window
    ]
