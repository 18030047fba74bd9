"""Which of a model's tasks a file's columns allow, and how its rows are read for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from accord.data.datafiles import find_files
from accord.data.examples import Example, TaskReader
from accord.data.files import DataFiles, files_of
from accord.data.plan import TaskPlan
from accord.data.reading import FilesReader
from accord.data.rows import choose_columns
from accord.errors import DataError, UsageError
from accord.evaluation.labelled_file import file_plan
from accord.evaluation.predict import Predictor
from accord.kinds import kind_of
from accord.plural import count
from accord.tasks import Task


@dataclass(frozen=True)
class Source:
    """What is to be answered.

    Attributes:
        path: of a file; or a pattern or folder of files.
        text: the text columns, where they are named otherwise than in training.
        id: the id column, likewise.
        skip_bad_rows: leave such rows without an answer, rather than stop.
    """

    path: Path
    text: tuple[str, ...] = ()
    id: str | None = None
    skip_bad_rows: bool = False


@dataclass(frozen=True)
class TextGroup:
    """Tasks that read the same texts of a row.

    Attributes:
        plan: of the first: which columns.
        tasks: at least one.
        reader: makes examples of rows.
    """

    plan: TaskPlan
    tasks: tuple[Task, ...]
    reader: TaskReader

    @property
    def gathers(self) -> bool:
        """Whether rows of one id are one row of its tasks."""
        return kind_of(self.tasks[0]).gathers(self.tasks[0])

    def calls(self, examples: Sequence[Example]) -> Iterator[tuple[list[str], list[Any]]]:
        """Yield names of tasks and the texts that they take, as few times as can be: tasks that
        label words take a list of these, and others its text."""
        by_words = [task.name for task in self.tasks if kind_of(task).units == "words"]
        others = [task.name for task in self.tasks if task.name not in by_words]
        given = [example.as_given for example in examples]
        if others and not all(isinstance(text, str) for text in given) and by_words:
            yield others, [example.texts[0] for example in examples]
            others = []
        yield [*by_words, *others], given


@dataclass(frozen=True)
class Answerable:
    """What can be answered.

    Attributes:
        files: as they are read.
        groups: the tasks.
        lacking: of other tasks why they can't be, by their names.
    """

    files: DataFiles
    groups: tuple[TextGroup, ...]
    lacking: dict[str, str]

    @property
    def tasks(self) -> list[Task]:
        """All tasks that can be answered."""
        return [task for group in self.groups for task in group.tasks]

    @property
    def columns(self) -> list[str]:
        """All columns that they read."""
        return list(dict.fromkeys(name for group in self.groups for name in read_by(group.plan)))


def read_by(plan: TaskPlan) -> tuple[str, ...]:
    """Return the columns that a plan reads of a file without labels."""
    return (*plan.text, plan.id) if plan.id else plan.text


def answerable(
    model: Predictor, source: Source, names: Sequence[str] | None, *, ids: bool = False
) -> Answerable:
    """Find the tasks whose columns a file has.

    Args:
        model: has the tasks.
        source: the file.
        names: of tasks that are to be answered; None: all that can be.
        ids: whether rows' ids are read.

    Raises:
        UsageError: if there is no such task; if a task named lacks a column, or every task does; or
            if they read the file in different ways.
    """
    wanted = model.tasks if names is None else [model.task(name) for name in dict.fromkeys(names)]
    plans = {task.name: plan for task, plan in _plans(model, source, wanted, ids)}
    lacking = {name: fault for name, plan in plans.items()
               if (fault := _lacking(files_of(plan, str(source.path)), plan))}  # fmt: skip
    if lacking and len(plans) == 1:
        raise DataError(f"{find_files(str(source.path))[0]}: {lacking[wanted[0].name]}")
    if lacking and (names is not None or len(lacking) == len(plans)):
        each = "; ".join(f"{name}: {fault}" for name, fault in lacking.items())
        what = "no task of the model can be answered" if names is None else "lacks columns of tasks"
        raise DataError(f"{source.path}: {what}: {each}")
    answered = {task: plans[task.name] for task in wanted if task.name not in lacking}
    files = _files(source, answered)
    together: dict[object, list[Task]] = {}
    for task, plan in answered.items():
        varying = kind_of(task).varying
        together.setdefault((plan.text, plan.id, varying), []).append(task)
    groups = tuple(
        TextGroup(plans[tasks[0].name], tuple(tasks),
                  TaskReader.of_texts(plans[tasks[0].name], tasks))
        for tasks in together.values()
    )  # fmt: skip
    return Answerable(files, groups, lacking)


def _plans(
    model: Predictor, source: Source, wanted: Sequence[Task], ids: bool
) -> Iterator[tuple[Task, TaskPlan]]:
    """Yield how each task reads the file: by the columns that `source` names, where they are as
    many as the task has.

    Raises:
        UsageError: if no task takes so many columns, or tasks would take them for different things.
    """
    fits = [task for task in wanted if _takes(task, len(source.text))]
    if source.text and not fits:
        file_plan(wanted[0], model.inputs[wanted[0].name], source.text)  # says what it takes
    if len({kind_of(task).varying for task in fits}) > 1:
        pair, other = (next(task.name for task in fits if kind_of(task).varying == varying)
                       for varying in (False, True))  # fmt: skip
        raise UsageError(
            f"--text {' --text '.join(source.text)}: may be a pair of texts (task '{pair}') or a"
            f" text and its candidates ('{other}'); --task says for which"
        )
    for task in wanted:
        text = source.text if task in fits else ()
        plan = file_plan(task, model.inputs[task.name], text, source.id)
        yield task, plan if ids or kind_of(task).gathers(task) else replace(plan, id=None)


def _takes(task: Task, columns: int) -> bool:
    return columns > 1 if kind_of(task).varying else columns == task.texts


def _lacking(files: DataFiles, plan: TaskPlan) -> str:
    """Return which of a plan's columns files lack, as their reader says it; or ''."""
    reader = FilesReader(files)
    faults = []
    for column in read_by(plan):
        try:
            choose_columns(files.paths[0], reader.columns, [column])
        except DataError as error:
            faults.append(_said(reader, column) or str(error))
    for path in files.paths:
        faults = [fault.removeprefix(f"{path}: ") for fault in faults]
    return ", ".join(faults)


def _said(reader: FilesReader, column: str) -> str:
    """Return what the files' reader says of a column that it lacks: it may know why."""
    try:
        next(reader.rows([column]), None)
    except DataError as error:
        return str(error)
    return ""


def _files(source: Source, plans: dict[Task, TaskPlan]) -> DataFiles:
    """Return the files, read as the tasks' files were in training.

    Raises:
        UsageError: if these were read in different ways.
    """
    every = [files_of(plan, str(source.path)) for plan in plans.values()]
    settled: dict[str, Any] = {}
    for key in ("delimiter", "quoting", "encoding"):
        ways = {getattr(files, key): task.name for task, files in zip(plans, every, strict=True)
                if getattr(files, key) is not None}  # fmt: skip
        if len(ways) > 1:
            (one, first), (other, second) = list(ways.items())[:2]
            cure = "--quoting or --task" if key == "quoting" else "--task"
            raise UsageError(
                f"{source.path}: {key} is '{one}' for task '{first}' and '{other}' for '{second}':"
                f" {count(len(plans), 'task')} can't be answered together; {cure} chooses"
            )
        settled[key] = next(iter(ways), None)
    return replace(every[0], codes=False, **settled)
