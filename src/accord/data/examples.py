"""From rows to validated examples of a task; what can't be used says why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from accord.data.files import DataFiles
from accord.data.gathering import gathered
from accord.data.labels import LabelParser, NoLabelError, missing_key
from accord.data.plan import TaskPlan
from accord.data.reading import FilesReader
from accord.data.rows import Note, Row
from accord.data.values import Scalar, list_text
from accord.errors import DataError
from accord.kinds import Kind, get_kind, kind_of, labelled_kind
from accord.spelling import canonical_label
from accord.tasks import Task


@dataclass(frozen=True)
class Example:
    """One row of a task: its texts, stripped of surrounding white space, and its label.

    `file` is the number of its file, counted from 0, and `line` where it starts in it.
    `label` is the target as the task's kind has it; None in a file that is read without labels.
    `id` is the file's own, or None: rows are never numbered instead. `group` is the
    value of the task's `group` column; empty where it names none. `words` are those of each text,
    where a task that reads the row labels words, and `given` these texts as the file has them, in
    one piece or as lists of words; else None.
    """

    texts: tuple[str, ...]
    label: Any
    id: str | None
    line: int
    file: int = 0
    group: str = ""
    words: tuple[tuple[str, ...], ...] | None = None
    given: tuple[str | tuple[str, ...], ...] | None = None

    @property
    def as_given(self) -> Given:
        """The row as a model takes it (`accord.evaluation.predict`)."""
        texts = self.given or self.texts
        return texts[0] if len(texts) == 1 else texts  # type: ignore[return-value]


Given = str | tuple[str, ...]
"""A row's text or texts; or, where words have labels, its text as the file has it, or its words."""


@dataclass(frozen=True)
class BadRow:
    """A row that can't be used, and why.

    `file` is the number of its file, counted from 0. `no_label` is what the task's `missing` would
    have to name for the row to be left out, where that is what it lacks.
    """

    path: Path
    line: int
    reason: str
    file: int = 0
    no_label: str | None = None

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}"


NO_LABEL = "no label (missing)"
"""What a row has that is left out as the task's `missing` names what its label's column holds."""


@dataclass(frozen=True)
class Unlabelled:
    """A row that is left out, and what it has for that."""

    line: int
    why: str = NO_LABEL


def read_examples(
    files: DataFiles,
    plan: TaskPlan,
    task: Task,
    *,
    labelled: bool,
    notes: list[Note] | None = None,
) -> Iterator[Example | BadRow | Unlabelled]:
    """Yield every row of a split's files as a valid example, as one left out, or as a bad row.

    Args:
        files: the split's.
        plan: the task's columns.
        task: the resolved task, with labels or range.
        labelled: whether the label column is read. Without labels an empty text is an example
            too, since it needs a prediction, and an `id` column may be absent.
        notes: gets, after the last row, the notes on a file as a whole.

    Raises:
        DataError: the file or a column can't be used at all.
    """
    for (item,) in read_source(files, [plan], [task], labelled=labelled, notes=notes):
        yield item


Item = Example | BadRow | Unlabelled
"""What a row is to a task."""
_Divider = Callable[[str], tuple[str, ...]]


def read_source(
    files: DataFiles,
    plans: Sequence[TaskPlan],
    tasks: Sequence[Task],
    *,
    labelled: bool,
    notes: list[Note] | None = None,
) -> Iterator[list[Item]]:
    """Yield for every row of a split's files what it is to each of several tasks, as
    `read_examples` has it of one; the files are read once.

    Args:
        files: the split's.
        plans: each task's columns; they read the same texts, ids and groups.
        tasks: the resolved tasks.
        labelled: whether the label columns are read.
        notes: gets, after the last row, the notes on a file as a whole.

    Raises:
        DataError: the file or a column can't be used at all.
    """
    pairs = [*zip(plans, tasks, strict=True)]
    divides = _divider_of(pairs)
    readers = [TaskReader.of(plan, task, labelled, divides) for plan, task in pairs]
    reader = FilesReader(files)
    columns = [name for plan in plans for name in _columns(reader, plan, labelled)]
    for row in task_rows(reader, list(dict.fromkeys(columns)), plans, tasks, labelled):
        yield [each.item(row, reader.paths[row.file]) for each in readers]
    if notes is not None:
        notes += reader.notes


def task_rows(
    reader: FilesReader,
    use: Sequence[str],
    plans: Sequence[TaskPlan],
    tasks: Sequence[Task],
    labelled: bool,
) -> Iterator[Row]:
    """Yield the rows that some tasks read alike, which their kind may gather from several rows of
    the files.

    Args:
        reader: of the files.
        use: their columns that are read.
        plans: each task's columns.
        tasks: resolved.
        labelled: whether labels are read.
    """
    plan = plans[0]
    if not kind_of(tasks[0]).gathers(tasks[0]):
        return reader.rows(use)
    rows = reader.rows(list(dict.fromkeys((*use, plan.id or ""))))
    labels = {name for each in plans for name in each.label_columns}
    parsers = {
        name: labelled_kind(task).parser(each, task)
        for each, task in zip(plans, tasks, strict=True)
        for name in each.label_columns
    }
    checks = {name: parser.check for name, parser in parsers.items() if labelled}
    missing = {name: parser.is_missing for name, parser in parsers.items() if name in use}
    return gathered(rows, plan, [name for name in use if name in labels], checks, missing)


@dataclass(frozen=True)
class TaskReader:
    """How a task reads a row.

    Attributes:
        plan: its columns.
        kind: of the task.
        parser: where labels are read.
        divides: a text into words, where one of the tasks that read the row labels these.
    """

    plan: TaskPlan
    kind: Kind[Any]
    parser: LabelParser | None
    divides: _Divider | None

    @classmethod
    def of(cls, plan: TaskPlan, task: Task, labelled: bool, divides: _Divider | None) -> TaskReader:
        """Return a task's reader; `divides` makes words of texts, where any task labels these."""
        parses = labelled and plan.labelled
        parser = labelled_kind(task).parser(plan, task) if parses else None
        return cls(plan, kind_of(task), parser, divides)

    @classmethod
    def of_texts(cls, plan: TaskPlan, tasks: Sequence[Task]) -> TaskReader:
        """Return how several tasks read the same texts, and no labels."""
        return cls.of(plan, tasks[0], False, _divider_of([(plan, task) for task in tasks]))

    def item(self, row: Row, path: Path) -> Item:
        """Return what a row of a file is to the task."""
        try:
            return self._example(row)
        except NoLabelError as error:
            return BadRow(path, row.line, str(error), row.file, error.label)
        except ValueError as error:
            return BadRow(path, row.line, str(error), row.file)

    def _example(self, row: Row) -> Example | Unlabelled:
        plan, parser = self.plan, self.parser
        if row.values is None:
            raise ValueError(row.fault)
        if parser is not None and parser.leaves_out(row.values, row.lists):
            return Unlabelled(row.line)
        _check_columns(row, plan)
        texts = list(_texts(row, plan, self.kind, self.divides))
        label = words = given = None
        if parser is not None:
            for text in texts:
                if not text.text:
                    raise ValueError(f"'{text.name}' is empty")
            label = parser.of_row(row.values, row.lists)
            if why := parser.left_out(label):
                return Unlabelled(row.line, why)
        if self.divides is not None:
            words, given = tuple(text.words for text in texts), tuple(text.given for text in texts)
        group = row.values.get(plan.group or "", "").strip()
        row_id = None if plan.id is None else row.values.get(plan.id)
        of_texts = tuple(text.text for text in texts)
        return Example(of_texts, label, row_id, row.line, row.file, group, words, given)


def _divider_of(pairs: Sequence[tuple[TaskPlan, Task]]) -> _Divider | None:
    """Return what divides a text into words, where one of some tasks labels these."""
    return next(filter(None, (_divider(plan, kind_of(task)) for plan, task in pairs)), None)


def _divider(plan: TaskPlan, kind: Kind[Any]) -> _Divider | None:
    """Return what divides a text into words as a task does that labels these; None for others."""
    if kind.units != "words":
        return None
    return lambda text: tuple(
        text[start:stop] for start, stop in kind.word_places(plan.options, text)
    )


def read_labels(files: DataFiles, plan: TaskPlan) -> Iterator[str | list[Any]]:
    """Yield the label, canonically spelt, of every row that has its texts and a label.

    What is a list in the file is one here, as `Row` has it.

    Raises:
        DataError: as `read_examples`.
    """
    reader = FilesReader(files)
    for row in reader.rows(_columns(reader, plan, labelled=True)):
        if row.values is None or not row.values[plan.label].strip() or not _has_texts(row, plan):
            continue
        label = canonical_label(row.values[plan.label])
        if plan.label in row.lists:
            yield row.lists[plan.label]
        elif label not in plan.missing:
            yield label


def _has_texts(row: Row, plan: TaskPlan) -> bool:
    try:
        return all(text.text for text in _texts(row, plan, get_kind(plan.kind)))
    except ValueError:
        return False


def _columns(reader: FilesReader, plan: TaskPlan, labelled: bool) -> list[str]:
    columns = [*plan.text]
    if labelled:
        columns += plan.label_columns
    if plan.id is not None and (labelled or plan.id in reader.columns):
        columns.append(plan.id)
    if plan.group is not None and (labelled or not plan.labelled):
        columns.append(plan.group)
    return list(dict.fromkeys(columns))


def _check_columns(row: Row, plan: TaskPlan) -> None:
    for name in (*plan.text, plan.id, plan.group):  # labels of any task may be missing
        if name in row.absent:
            raise ValueError(f"key '{name}' is missing")
    for column in (plan.id, plan.group):
        if column in row.lists:
            raise ValueError(f"'{column}' holds a list, not a text or a number")


class _Text(NamedTuple):
    """A row's text: how messages call it, and, where they are asked for, its words; `given` as the
    file has it."""

    name: str
    text: str
    words: tuple[str, ...]
    given: str | tuple[str, ...]


def _texts(
    row: Row, plan: TaskPlan, kind: Kind[Any], divides: _Divider | None = None
) -> Iterator[_Text]:
    """Yield a row's texts, stripped; of a list its words, joined by spaces.

    Raises:
        ValueError: there is something else in a text's place.
    """
    for name, cell in kind.text_cells(plan, row.values or {}, row.lists):
        if isinstance(cell, list):
            yield _Text(name, " ".join(_words(name, cell)).strip(), tuple(cell), tuple(cell))
        elif isinstance(cell, str):
            yield _Text(name, cell.strip(), divides(cell) if divides else (), cell)
        else:
            raise ValueError(f"'{name}' holds {list_text(cell):.40}, not a text")


def _words(name: str, cell: list[Any]) -> list[str]:
    for word in cell:
        if not isinstance(word, str) or isinstance(word, Scalar):
            raise ValueError(f"'{name}' holds a list of more than words: {list_text(word):.40}")
    return cell


def refuse(bad: BadRow) -> DataError:
    """Return the error that a bad row is under `on_bad_row = "stop"`."""
    if bad.no_label is None:
        return DataError(f'{bad} (on_bad_row = "skip" would leave it out)')
    return DataError(f"{bad} ({missing_key([bad.no_label])} would leave such rows out)")


def unlabelled_note(
    path: str, rows: int, why: str = NO_LABEL, called: tuple[str, str] = ("row", "rows")
) -> str:
    """Say how many rows of a file were left out for what they have; nothing if none were.

    Example:
        >>> unlabelled_note("dev.csv", 3)
        '3 rows of dev.csv have no label (missing): left out'
    """
    has = f"{called[0]} of {path} has" if rows == 1 else f"{called[1]} of {path} have"
    return f"{rows:,} {has} {why}: left out" if rows else ""
