"""Files of a task that a model is asked of: how they are read, and their labelled rows."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from accord.data.examples import Example, Unlabelled, read_examples, unlabelled_note
from accord.data.files import files_of
from accord.data.plan import TaskPlan
from accord.data.rows import Note
from accord.data.warnings import DataWarning
from accord.errors import DataError, UsageError
from accord.kinds import kind_of, labelled_kind
from accord.model.saved import InputFormat
from accord.plural import count
from accord.spelling import canonical_label
from accord.tasks import Task


def file_plan(
    task: Task, form: InputFormat, text: Sequence[str] = (), id_column: str | None = None
) -> TaskPlan:
    """Return how a file of a task is read.

    Args:
        task: whose.
        form: how the task's files named their columns in training.
        text: the text columns, where they are named otherwise.
        id_column: likewise.

    Raises:
        UsageError: if there are too many text columns, or too few.
    """
    text = tuple(text) or form.text
    if kind_of(task).varying:
        wanted = "" if len(text) > 1 else "two text columns or more"
    else:
        wanted = ["", "one text column", "two text columns"][task.texts * (len(text) != task.texts)]
    if wanted:
        raise UsageError(f"task '{task.name}' takes {wanted}, got {len(text)}")
    return TaskPlan(
        task.kind,
        text,
        label=form.label,
        label_columns=labelled_kind(task).label_columns(task, form.label),
        id=form.id if id_column is None else id_column,
        delimiter=form.delimiter,
        quoting=form.quoting,
        missing=frozenset(map(canonical_label, form.missing)),
        file_encoding=form.file_encoding,
        options=labelled_kind(task).reading(task),
    )


def read_labelled(
    task: Task,
    form: InputFormat,
    source: Path,
    skip_bad_rows: bool,
    named: Callable[[str], str] = str,
) -> list[Example]:
    """Read a labelled file's rows; warns of rows left out, and of what its reader notes.

    Args:
        task: whose.
        form: how the task's files named their columns in training.
        source: the file.
        skip_bad_rows: leave out rows that can't be used, rather than stop.
        named: how warnings name the file and its rows.

    Raises:
        DataError: for a bad row, or a file without rows.
    """
    plan = file_plan(task, form)
    files = files_of(plan, str(source))
    examples, skipped, left_out = [], [], Counter[str]()
    notes: list[Note] = []
    for row in read_examples(files, plan, task, labelled=True, notes=notes):
        if isinstance(row, Example):
            examples.append(row)
        elif isinstance(row, Unlabelled):
            left_out[row.why] += 1
        elif skip_bad_rows:
            skipped.append(row)
        else:
            raise DataError(
                f"{row} (--skip-bad-rows, in Python skip_bad_rows=True, would leave it out)"
            )
    for what, cure, number in notes:
        warnings.warn(named(str(DataWarning(str(files.paths[number]), what, cure))), stacklevel=3)
    if skipped:
        rows = count(len(skipped), "row")
        warnings.warn(named(f"{rows} skipped; the first: {skipped[0]}"), stacklevel=3)
    called = kind_of(task).row_called
    for why, rows_left_out in left_out.items():
        note = unlabelled_note(str(files), rows_left_out, why, called)
        warnings.warn(named(note), stacklevel=3)
    if not examples:
        raise DataError(f"{source}: has no rows to use")
    return examples
