"""Which tasks read the same rows of one file, and are packed once; or why each is packed apart."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import replace

from accord import balancing, gradients
from accord.config.sections import Config
from accord.data.plan import DataPlan, TaskPlan
from accord.kinds import get_kind
from accord.plan.run import SharingPlan, TrainingPlan

_OF_ROWS = (
    "train", "dev", "test", "text", "id", "group", "delimiter", "quoting", "file_encoding", "limit",
    "on_bad_row",
)  # fmt: skip
"""What of a task says which rows are read, and how."""


def with_sources(data: DataPlan, config: Config, reason: str = "") -> DataPlan:
    """Return the plan of the data in which tasks that read the same rows share them.

    A row without a label of one of several tasks that name the same file is left out of that task
    alone, unless the config says otherwise.

    Args:
        data: with each task as if it were alone.
        config: that it was made from.
        reason: why no task can share its rows; empty where they can.
    """
    files = _together(data.labelled, lambda task: (task.train, task.text))
    tasks = dict(data.tasks)
    for name in data.labelled:
        given = config.labelled[name].unlabelled if name in config.labelled else None
        alone = all(name not in names for names in files)
        if given == "skip" or (given is None and not alone):
            tasks[name] = replace(tasks[name], missing=tasks[name].missing | {""})
    sharing = {
        name: task for name, task in tasks.items()
        if task.labelled and name not in data.finished and not _apart(config, name, reason)
    }  # fmt: skip
    return replace(data, tasks=tasks, shared=_together(sharing, _rows))


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
        if sharing.schemes:
            yield (
                f"tasks.{names[0]}.apart: false packs the rows of {' and '.join(names)} once, but"
                f" sharing.schemes = ['{sharing.schemes[0]}'] gives each task parts of its own"
            )


def sources_note(data: DataPlan, reason: str, config: Config) -> str:
    """Say which tasks are packed apart though they read the same rows, and why; else nothing."""
    labelled = {name: task for name, task in data.labelled.items() if name not in data.finished}
    groups = _together(labelled, _rows)
    if reason:
        apart = [" and ".join(names) for names in groups
                 if any(config.labelled[name].apart is None for name in names)]  # fmt: skip
        if apart:
            return f"{'; '.join(apart)}: read the same rows and are packed once each, as {reason}"
    unlike = []
    for names in _together(labelled, lambda task: (task.train, task.text)):
        first = labelled[names[0]]
        for name in names[1:]:
            key = _unlike(first, labelled[name])
            if key and not config.labelled[name].apart:
                unlike.append(
                    f"{names[0]} and {name}: read the same file and are packed once each, as"
                    f" their '{key}' differs"
                )
    return "; ".join(unlike)


def _apart(config: Config, name: str, reason: str) -> bool:
    """Whether a task's rows are packed for it alone."""
    given = config.labelled[name].apart
    return bool(reason) if given is None else given


def _rows(task: TaskPlan) -> tuple[Hashable, ...]:
    """Return what says which sequences a task reads."""
    varying = get_kind(task.kind).varying
    return (*(getattr(task, name) for name in _OF_ROWS), task.encoding, varying)


def _unlike(one: TaskPlan, other: TaskPlan) -> str:
    """Return the first key by which two tasks read other rows; empty where there is none."""
    for name in (*_OF_ROWS, "encoding"):
        if getattr(one, name) != getattr(other, name):
            return name
    return ""


def _together(
    tasks: Mapping[str, TaskPlan], by: Callable[[TaskPlan], Hashable]
) -> tuple[tuple[str, ...], ...]:
    """Return the names of tasks of which this is the same, where there are two or more."""
    groups: dict[Hashable, list[str]] = {}
    for name, task in tasks.items():
        if task.train is not None:
            groups.setdefault(by(task), []).append(name)
    return tuple(tuple(names) for names in groups.values() if len(names) > 1)
