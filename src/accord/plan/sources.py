"""Which tasks read the same rows and are packed once; or why they are packed separately."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from accord import balancing, gradients
from accord.config.sections import Config
from accord.data.datafiles import canonical_files
from accord.data.plan import DataPlan, TaskPlan
from accord.kinds import get_kind
from accord.plan.run import SharingPlan, TrainingPlan

_FILES = ("train", "dev", "test")
_OF_ROWS = (
    *_FILES, "text", "id", "group", "delimiter", "quoting", "file_encoding", "limit", "on_bad_row",
    "encoding",
)  # fmt: skip
"""What of a task says which rows are read, and how."""


def with_sources(data: DataPlan, config: Config, reason: str = "") -> DataPlan:
    """Return the plan of the data in which tasks that read the same rows share them.

    Args:
        data: with tasks that share no rows, or those that they could.
        config: that it was made from.
        reason: why no task can share its rows; empty where they can.
    """
    sharing = {
        name: task for name, task in data.tasks.items()
        if task.labelled and name not in data.finished
        and not _apart(config, name, reason or _by_class(task))
    }  # fmt: skip
    return replace(data, shared=_same_rows(sharing))


def same_rows(data: DataPlan) -> tuple[tuple[str, ...], ...]:
    """Return the names of tasks that read the same rows, whether or not they share them."""
    labelled = {name: task for name, task in data.labelled.items() if name not in data.finished}
    return _same_rows(labelled)


def why_apart(data: DataPlan, config: Config, sharing: SharingPlan, training: TrainingPlan) -> str:
    """Say why each task's gradient has to be told from the others', so that no rows are shared;
    empty where it need not be.

    Args:
        data: in which tasks share what rows they can.
        config: that all was made from.
        sharing: what tasks have of their own.
        training: the methods.
    """
    if not any(config.labelled[name].apart is None for names in data.shared for name in names):
        return ""
    if sharing.schemes:
        return f"sharing.schemes = ['{sharing.schemes[0]}'] gives each task parts of its own"
    trained = [names for names in data.sources if not set(names) & set(data.finished)]
    if len(trained) > 1:
        return ""
    method, rule = gradients.get_method(training.gradients), balancing.get_rule(training.balancing)
    if method.combines:
        return f"training.gradients = '{method.name}' combines the tasks' gradients"
    if "constant" not in rule.laws:
        return f"training.balancing = '{rule.name}' weighs the tasks against each other"
    return ""


def source_faults(data: DataPlan, sharing: SharingPlan) -> Iterator[str]:
    """Yield why tasks can't share their rows that the config wants to."""
    for names in data.shared:
        by_class = next(filter(None, (_by_class(data.tasks[name]) for name in names)), "")
        if sharing.schemes:
            by_class = (
                f"sharing.schemes = ['{sharing.schemes[0]}'] gives each task parts of its own"
            )
        if by_class:
            yield (
                f"tasks.{names[0]}.apart: false packs the rows of {' and '.join(names)} once, but"
                f" {by_class}"
            )


def sources_note(data: DataPlan, reason: str, config: Config) -> str:
    """Say which tasks are packed apart though they read the same rows, and why; else nothing."""
    labelled = {name: task for name, task in data.labelled.items() if name not in data.finished}
    if reason:
        apart = [" and ".join(names) for names in same_rows(data)
                 if any(config.labelled[name].apart is None for name in names)]  # fmt: skip
        if apart:
            return f"{'; '.join(apart)}: read the same rows and are packed once each, as {reason}"
    unlike = []
    for names in _together(labelled, lambda task: (_read(task, "train"), task.text)):
        tagger = next((name for name in names if _words(labelled[name])), names[0])
        for name in names[1:]:
            partner = names[0]
            if not (why := _unlike(labelled[partner], labelled[name])):
                partner, why = tagger, _unlike(labelled[tagger], labelled[name])
            if why and name != tagger and not config.labelled[name].apart:
                unlike.append(
                    f"{partner} and {name}: read the same file and are packed once each, as {why}"
                )
    return "; ".join(unlike)


def _apart(config: Config, name: str, reason: str) -> bool:
    """Whether a task's rows are packed for it alone."""
    given = config.labelled[name].apart
    return bool(reason) if given is None else given


def _rows(task: TaskPlan) -> tuple[Hashable, ...]:
    """Return what says which sequences a task reads."""
    varying = get_kind(task.kind).varying
    candidates = (task.kind, task.options.get("rows")) if varying else ()
    return (*(_read(task, name) for name in _OF_ROWS), candidates)


def _read(task: TaskPlan, name: str) -> Hashable:
    """Return what a key of a task says; files alike however they are spelt."""
    value: Any = getattr(task, name)
    return canonical_files(value) if name in _FILES and value is not None else value


def _unlike(one: TaskPlan, other: TaskPlan) -> str:
    """Say why two tasks of one file read other rows, or draw others; empty where they don't."""
    for name in _OF_ROWS:
        if _read(one, name) != _read(other, name):
            return f"their '{name}' differs"
    if None not in (_words(one), _words(other)) and _words(one) != _words(other):
        return "their 'words' differs"
    return _by_class(one) or _by_class(other)


def _by_class(task: TaskPlan) -> str:
    """Say that a task's rows are drawn by its classes; empty where they aren't."""
    return "draw = 'balanced' goes by a task's own classes" if task.draw == "balanced" else ""


def _together(
    tasks: Mapping[str, TaskPlan], by: Callable[[TaskPlan], Hashable]
) -> tuple[tuple[str, ...], ...]:
    """Return the names of tasks of which this is the same, where there are two or more."""
    groups: dict[Hashable, list[str]] = {}
    for name, task in tasks.items():
        # Of rows of candidates, each kind makes sequences of its own.
        if task.train is not None and not get_kind(task.kind).varying:
            groups.setdefault(by(task), []).append(name)
    return tuple(tuple(names) for names in groups.values() if len(names) > 1)


def _same_rows(tasks: Mapping[str, TaskPlan]) -> tuple[tuple[str, ...], ...]:
    """Return the names of tasks that read the same sequences, where there are two or more; a text
    has its words once, as the first task has them."""
    groups = []
    for names in _together(tasks, _rows):
        words = next(filter(None, (_words(tasks[name]) for name in names)), None)
        groups.append(tuple(name for name in names if _words(tasks[name]) in (None, words)))
    return tuple(names for names in groups if len(names) > 1)


def _words(task: TaskPlan) -> str | None:
    """Return what the words of a text are to a task; None where it has no labels of words."""
    words: str | None = task.options.get("words")
    return words
