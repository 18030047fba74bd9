"""A file's rows answered by a model, a window at a time: memory doesn't grow with the file."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow

from accord.data.examples import Example
from accord.data.reading import FilesReader
from accord.data.rows import Column
from accord.errors import UsageError
from accord.evaluation.answer_columns import Naming
from accord.evaluation.answerable import Answerable, Source, TextGroup, answerable
from accord.evaluation.file_rows import FileRow, FileRows, check_rows
from accord.evaluation.leaderboard import cs224n_lines
from accord.evaluation.member import ReadTexts
from accord.evaluation.output import Output
from accord.evaluation.predict import Predictor
from accord.evaluation.prediction_formats import Table, write_table
from accord.evaluation.predictions import predicted_values
from accord.evaluation.task_groups import Answered
from accord.runs.ahead import Ahead, made_ahead
from accord.runs.progress import Bar, Console

Window = tuple[Sequence[FileRow], list[list[ReadTexts]]]
"""Rows, and what each group of tasks reads of them."""


@dataclass(frozen=True)
class Predicted:
    """What was written.

    Attributes:
        rows: how many.
        tasks: those that were answered.
    """

    rows: int
    tasks: tuple[str, ...]


def predict_file(
    model: Predictor,
    tasks: Sequence[str] | None,
    source: Source,
    output: Output,
    console: Console | None = None,
    naming: Naming | None = None,
) -> Predicted:
    """Answer every row of a file: its columns, and after them the answers of tasks.

    Every row is read before the first one is answered: a bad one costs no time, and no file. Then a
    window of rows is read once, and encoded once for all tasks that read the same texts.

    Args:
        model: has the tasks.
        tasks: by name; None: all whose text columns the file has; of others a warning says why not.
        source: a file with text columns; labels are not needed.
        output: where rows and answers go.
        console: shows progress.
        naming: of the columns of answers.

    Raises:
        UsageError: if there is no such task, a row can't be read, or the file has a column that an
            answer would be named as; nothing was written.
        AccordError: if the answers can't be written.
    """
    of = answerable(model, source, tasks)
    if output.form == "cs224n":
        of = _with_ids(model, of, source)
    elif source.id is not None and not any(group.gathers for group in of.groups):
        raise UsageError("--id is for --format cs224n: other formats have all the input's columns")
    rows = FileRows(of, source, output.form == "parquet")
    count, table = check_rows(rows), _table(rows, output, naming or Naming())
    for name, fault in of.lacking.items():
        warnings.warn(f"task '{name}' is not answered: {fault}", stacklevel=2)
    answers = _Answers(model, rows, naming or Naming())
    with (
        Bar(console or Console(quiet=True), "row", count) as bar,
        output.open() as file,
    ):
        answers.gather()
        if output.form == "cs224n":
            with closing(answers.leaderboard(bar)) as every:
                for lines in every:
                    file.write("".join(lines).encode())
        else:
            with closing(answers.records(bar)) as records:
                write_table(file, output.form, table, records)
    notes = [
        note for task in rows.of.tasks
        for note in model.cut_notes(task, *answers.cut[task.name], count)
    ]  # fmt: skip
    for note in dict.fromkeys(notes):  # each once, whatever the number of tasks that say the same
        warnings.warn(note, stacklevel=2)
    return Predicted(count, tuple(task.name for task in rows.of.tasks))


def _with_ids(model: Predictor, of: Answerable, source: Source) -> Answerable:
    """Return what can be answered with ids, as the course's format needs them.

    Raises:
        UsageError: if there are none, several tasks, or rows without an answer.
    """
    if len(of.tasks) > 1:
        names = ", ".join(task.name for task in of.tasks)
        raise UsageError(f"format cs224n takes one task; --task names one of: {names}")
    (task,) = of.tasks
    cs224n_lines(task.kind, [], [])  # refuses kinds that the course has no file for
    ids = source.id or model.inputs[task.name].id
    known = source.id is not None or ids in FilesReader(of.files).columns
    if not known or source.skip_bad_rows:
        lack = "an answer for every row" if known else "ids; --id COLUMN names the file's"
        raise UsageError(f"{source.path}: format cs224n needs {lack}")
    return answerable(model, replace(source, id=ids), [task.name], ids=True)


def _table(rows: FileRows, output: Output, naming: Naming) -> Table:
    """Return the columns of the output.

    Raises:
        UsageError: two of them would have one name.
    """
    columns = rows.columns.columns
    named = [name for name, _ in columns]
    for name in named if output.form in ("json", "jsonl", "parquet") else []:
        if named.count(name) > 1:
            raise UsageError(
                f"{rows.path}: has two columns '{name}', which {output.form} can't hold; .csv can"
            )
    answers = [name for task in rows.of.tasks for name in naming.names(task)]
    answers += [naming.error] * rows.skip
    for name in answers:
        if name in named or answers.count(name) > 1:
            raise UsageError(
                f"{rows.path}: has a column '{name}' already, as an answer would be named;"
                f" --suffix .predicted would name it '{name}.predicted'"
            )
    table = Table([*columns, *((name, 0) for name in answers)], safe_cells=output.safe_cells)
    if output.form != "parquet":
        return table
    types = {name: of for task in rows.of.tasks for name, of in naming.types(task).items()}
    return Table(
        table.columns,
        {**rows.columns.types,
         **{(name, 0): types.get(name, pyarrow.string()) for name in answers}},
        rows.metadata,
    )  # fmt: skip


@dataclass
class _Answers:
    """The answers of rows, window by window.

    Attributes:
        model: gives them.
        rows: the rows.
        naming: of their columns.
        cut: by task, how many rows are cut, and how many words the model doesn't see.
    """

    model: Predictor
    rows: FileRows
    naming: Naming
    cut: dict[str, tuple[int, int]] = field(init=False)

    def __post_init__(self) -> None:
        self.cut = {task.name: (0, 0) for task in self.rows.of.tasks}

    def gather(self) -> None:
        """Answer what is answered of all rows at once."""
        for group, gathered in zip(self.rows.of.groups, self.rows.gathered, strict=True):
            for answered in gathered.answer(self.model, group) if gathered else ():
                self._count(answered)

    def records(self, bar: Bar) -> Generator[list[dict[Column, Any]]]:
        """Yield each window's rows as they are written."""
        blank = {(name, 0): None for task in self.rows.of.tasks for name in self.naming.names(task)}
        none = dict.fromkeys(self.rows.columns.columns)
        with self._windows(len(blank)) as windows:
            for window, read in windows:
                answers: list[dict[Column, Any]] = [
                    {**(row.cells or none), **blank} for row in window
                ]
                for number, group in enumerate(self.rows.of.groups):
                    self._answer(number, group, window, read[number], answers)
                if self.rows.skip:
                    for row, record in zip(window, answers, strict=True):
                        record[self.naming.error, 0] = row.error
                bar.advance(len(window))
                yield answers

    def leaderboard(self, bar: Bar) -> Generator[list[str]]:
        """Yield each window's lines in the course's format."""
        (task,), head = self.rows.of.tasks, 0
        with self._windows() as windows:
            for window, ((read,),) in windows:
                examples = _examples(window, 0)
                answered = self.model.answered_as_read(read)
                self._count(answered)
                values: Any = predicted_values(answered[task.name].logits, task)
                yield cs224n_lines(task.kind, [each.id or "" for each in examples], values)[head:]
                head = 1
                bar.advance(len(window))

    def _windows(self, answers: int = 1) -> Ahead[Window]:
        """Return the file's windows; on a GPU the next ones are read while one is answered."""
        pass_tokens = self.model.pass_tokens()
        windows = (
            (window, [self._read(number, window, pass_tokens) for number in groups])
            for groups in [range(len(self.rows.of.groups))]
            for window in self.rows.windows(answers)
        )
        return Ahead(windows, made_ahead(self.model.device))

    def _read(
        self, number: int, window: Sequence[FileRow], pass_tokens: tuple[int, ...]
    ) -> list[ReadTexts]:
        """Return a window's rows as a group of tasks reads them; those gathered are answered."""
        if self.rows.gathered[number] is not None:
            return []
        calls = self.rows.of.groups[number].calls(_examples(window, number))
        return [self.model.read(names, texts, pass_tokens) for names, texts in calls]

    def _answer(
        self, number: int, group: TextGroup, window: Sequence[FileRow],
        read: Sequence[ReadTexts], answers: Sequence[dict[Column, Any]],
    ) -> None:  # fmt: skip
        """Add a group's answers to those of a window's rows."""
        places = [i for i, row in enumerate(window) if isinstance(row.items[number], Example)]
        for columns in self._columns(number, group, _examples(window, number), read):
            for name, values in columns.items():
                for place, value in zip(places, values, strict=True):
                    answers[place][name, 0] = value

    def _columns(
        self, number: int, group: TextGroup, examples: Sequence[Example],
        read: Sequence[ReadTexts],
    ) -> Iterator[dict[str, Sequence[Any]]]:  # fmt: skip
        gathered = self.rows.gathered[number]
        if gathered is not None:
            for task in group.tasks:
                scores = gathered.scores[task.name]
                (name,) = self.naming.names(task)
                yield {name: [scores[example.label] for example in examples]}
            return
        for texts in read:
            answered = self.model.answered_as_read(texts)
            self._count(answered)
            for name, made in answered.items():
                task = self.model.task(name)
                yield self.naming.columns(task, made.logits, made.texts)

    def _count(self, answered: dict[str, Answered]) -> None:
        for name, made in answered.items():
            cut, unseen = self.cut[name]
            self.cut[name] = (cut + made.cut, unseen + made.unseen)


def _examples(window: Sequence[FileRow], group: int) -> list[Example]:
    """Return the rows of a window that a group of tasks, by its number, can read."""
    return [item for row in window if isinstance(item := row.items[group], Example)]
