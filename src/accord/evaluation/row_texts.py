"""The texts of rows in memory, as the tasks that read their columns take them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

from accord.data.examples import Example, Given, read_examples
from accord.data.files import DataFiles, files_of
from accord.data.in_memory import Rows
from accord.data.reading import FilesReader
from accord.data.row_files import passing_rows
from accord.errors import DataError, UsageError
from accord.evaluation.labelled_file import file_plan
from accord.evaluation.texts import forms
from accord.kinds import kind_of
from accord.model.saved import InputFormat
from accord.tasks import Task

_KEY = "texts"


def texts_of_rows(task: Task, form: InputFormat, rows: Rows) -> list[Given]:
    """Return the texts of rows as a task reads them.

    Args:
        task: whose.
        form: how the task's files named their columns in training.
        rows: as `accord.train` takes them.

    Raises:
        DataError: they are none, or one can't be used.
    """
    with passing_rows() as files:
        return _read(task, form, files.path_of(rows, _KEY))


def texts_by_tasks(
    tasks: Sequence[Task], inputs: Mapping[str, InputFormat], rows: Rows, *, every: bool
) -> list[tuple[list[str], list[Given]]]:
    """Return the texts of rows, once for all tasks that read the same columns alike.

    Args:
        tasks: that may be answered.
        inputs: how each task's files named their columns in training.
        rows: as `accord.train` takes them.
        every: whether all tasks are to be answered, or only those whose columns are there.

    Raises:
        UsageError: every task lacks a column, or one that is to be answered does; or a task has
            its candidates in rows of their own.
    """
    together: dict[Hashable, list[Task]] = {}
    with passing_rows() as files:
        path = files.path_of(rows, _KEY)
        columns = FilesReader(DataFiles((path,))).columns
        for task in tasks:
            needed = inputs[task.name].text
            if every or {*needed} <= {*columns}:
                _check_number(task)
                together.setdefault((forms(task), needed), []).append(task)
        if not together:
            raise UsageError(f"{_KEY}: hold the columns of no task; theirs: {', '.join(columns)}")
        return [
            ([task.name for task in alike], _read(alike[0], inputs[alike[0].name], path))
            for alike in together.values()
        ]


def _check_number(task: Task) -> None:
    if kind_of(task).gathers(task):
        raise UsageError(
            f"task '{task.name}' reads candidates from rows of their own, so that it has fewer"
            " answers than there are rows: predict(task, rows) gives these"
        )


def _read(task: Task, form: InputFormat, path: Path) -> list[Given]:
    plan = file_plan(task, form)
    texts = []
    for row in read_examples(files_of(plan, str(path)), plan, task, labelled=False):
        if not isinstance(row, Example):
            raise DataError(str(row))
        texts.append(row.as_given)
    return texts
