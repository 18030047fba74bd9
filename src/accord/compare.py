"""Whether sharing was worth it: runs that differ in their seed alone, against other such groups."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from accord.config.file import reduced
from accord.config.sections import Config
from accord.config.unused import effective
from accord.errors import RunFolderError, UsageError, nearest
from accord.judging.verdict import Difference, difference, mean_difference
from accord.report.exposure import EXPOSURE_KEYS, exposure_distance
from accord.report.record import RunRecord

_INDIFFERENT = (
    "training.seed", "training.halves_every", "training.gramian", "training.threads",
    "training.device", "score",
)  # fmt: skip


MEAN = "mean of tasks"
"""Where a task's name stands: the mean of all tasks' metrics. No task can have it."""


CONTINUAL = ("average_accuracy", "forgetting", "backward_transfer")
"""Figures of runs that learn task after task (`accord.judging.continual`)."""


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seed alone.

    Attributes:
        name: as it is shown.
        runs: by seed.
    """

    name: str
    runs: list[RunRecord]

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of the tasks that have labels."""
        return tuple(self.runs[0].tasks)

    @property
    def trained(self) -> tuple[str, ...]:
        """The names of all tasks that were trained, those without labels too."""
        return tuple(self.runs[0].config.tasks)

    def values(self, task: str) -> list[float]:
        """The dev metric of each run."""
        return [run.metrics[task] for run in self.runs]

    def mean(self, task: str) -> float:
        """Mean of the dev metric."""
        return statistics.fmean(self.values(task))

    def spread(self, task: str) -> float | None:
        """Standard deviation over seeds; None for one run."""
        return _spread(self.values(task))

    @property
    def continual(self) -> dict[str, tuple[float, float | None]]:
        """Of runs that judge finished tasks again: what they learned and forgot, by `CONTINUAL`'s
        names; mean and standard deviation over seeds. What no run has isn't there."""
        found = {}
        for name in CONTINUAL:
            values = [run.results.get("continual", {}).get(name) for run in self.runs]
            if numbers := [float(own) for own in values if own is not None]:
                found[name] = (statistics.fmean(numbers), _spread(numbers))
        return found

    @property
    def average(self) -> tuple[float, float | None]:
        """The mean of the tasks' dev metrics; mean and standard deviation over seeds."""
        means = [statistics.fmean(own) for own in zip(*map(self.values, self.tasks), strict=True)]
        return statistics.fmean(means), _spread(means)

    @property
    def train_seconds(self) -> float:
        """Mean time in steps."""
        return statistics.fmean(float(run.results["train_seconds"]) for run in self.runs)

    @property
    def seconds_per_epoch(self) -> float:
        """Mean time in an epoch's steps."""
        return statistics.fmean(run.seconds_per_epoch for run in self.runs)

    @property
    def parameters(self) -> int:
        """Of the encoder and all heads."""
        return int(self.runs[0].results["parameters"])

    @property
    def peak_memory(self) -> int:
        """The most bytes that a run's process held."""
        return max(int(run.results["peak_memory_bytes"]) for run in self.runs)

    @property
    def model_bytes(self) -> int:
        """What the model folder takes on disk."""
        return sum(file.stat().st_size for file in (self.runs[0].path / "model").iterdir())


def _spread(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None


@dataclass(frozen=True)
class SharingVerdict:
    """One task alone against the same task in a shared model.

    Attributes:
        task: its name.
        metric: by which it is judged.
        alone: the group that was trained on it alone.
        together: the group of a shared model.
        difference: together minus alone.
        differing: keys in which the two differ besides; none should.
    """

    task: str
    metric: str
    alone: Group
    together: Group
    difference: Difference
    differing: tuple[str, ...] = ()


def group_runs(runs: Sequence[RunRecord]) -> list[Group]:
    """Put runs that differ in their seed alone together, in order of appearance.

    A group is named by its first run, and by how many others it has.
    """
    groups: dict[str, list[RunRecord]] = {}
    for run in runs:
        table = effective(run.config)
        table["training"].pop("seed")
        groups.setdefault(json.dumps(table, sort_keys=True), []).append(run)
    result = []
    for own in groups.values():
        name = own[0].name + (f" and {len(own) - 1} more" if len(own) > 1 else "")
        result.append(Group(name, sorted(own, key=lambda run: run.seed)))
    return result


def group_difference(task: str, ours: Group, theirs: Group) -> Difference:
    """Compare two groups on a task, by the seeds that both have; unpaired if they share none.

    Raises:
        RunFolderError: if they were judged on different dev rows.
    """
    pairs = _paired(ours.runs, theirs.runs)
    mine = [one.predictions(task) for one, _ in pairs]
    other = [two.predictions(task) for _, two in pairs]
    first = mine[0]
    for (one, two), own in zip([*pairs, *pairs], [*mine, *other], strict=True):
        if own.ids != first.ids or not np.array_equal(own.labels, first.labels):
            raise RunFolderError(
                f"{one.name}, {two.name}: judged on different dev rows of '{task}'"
            )
    return difference(
        first.task.metric,
        first.labels,
        np.stack([own.predicted for own in mine]),
        np.stack([own.predicted for own in other]),
        classes=len(first.task.labels) if first.task.is_classification else None,
    )


def _paired(
    ours: Sequence[RunRecord], theirs: Sequence[RunRecord]
) -> list[tuple[RunRecord, RunRecord]]:
    by_seed = {run.seed: run for run in theirs}
    pairs = [(run, by_seed[run.seed]) for run in ours if run.seed in by_seed]
    return pairs or list(zip(ours, theirs, strict=False))


def sharing(groups: Sequence[Group]) -> list[SharingVerdict]:
    """Compare every shared group with the groups of its single tasks, where there are any.

    A task that was trained beside one without labels isn't alone.

    Of several groups of a task alone that one counts whose settings differ least, and of these the
    one that was shown most nearly as many examples of it; where several are equally near, but none
    has the same settings, none counts. Keys that say how much a task is shown (`EXPOSURE_KEYS`)
    differ only where it is not shown alike.
    """
    verdicts = []
    for group in groups:
        for task in group.tasks if len(group.trained) > 1 else ():
            own = [other for other in groups if other.trained == (task,)]
            alone, differing = _nearest_alone(task, group, own)
            if alone is not None:
                metric = group.runs[0].tasks[task].metric
                found = group_difference(task, group, alone)
                verdicts.append(SharingVerdict(task, metric, alone, group, found, differing))
    return verdicts


def dev_notes(groups: Sequence[Group]) -> list[str]:
    """Return which groups were judged by other dev rows than others, a line a task."""
    notes = []
    for task, _ in metric_columns(groups):
        found: dict[str, list[str]] = {}
        for group in groups:
            if task in group.tasks:
                found.setdefault(group.runs[0].dev_content(task), []).append(group.name)
        if len(found) > 1:
            sides = " / ".join(", ".join(names) for names in found.values())
            notes.append(f"{task}: these were judged by different dev rows: {sides}")
    return notes


def sharing_notes(groups: Sequence[Group]) -> list[str]:
    """Return why tasks that were trained alone have no verdict, though a run in stages had them."""
    return [
        f"{task}: no verdict, as {group.name} doesn't hold it: its last stage trains"
        f" {', '.join(group.tasks)}; with [memory] method = 'none' it is kept and judged."
        for group in groups if group.runs[0].config.stages
        for task in group.runs[0].config.labelled
        if task not in group.tasks and any(other.trained == (task,) for other in groups)
    ]  # fmt: skip


def _nearest_alone(
    task: str, together: Group, alone: Sequence[Group]
) -> tuple[Group | None, tuple[str, ...]]:
    config = together.runs[0].config
    wanted = dict(_settings(reduced(config, {task: config.tasks[task]})))
    differing: list[tuple[str, ...]] = []
    ranks: list[tuple[int, float]] = []
    for group in alone:
        own = dict(_settings(group.runs[0].config))
        distance = exposure_distance(group, together, task)
        alike = EXPOSURE_KEYS if distance == 0 else ()
        keys = [key for key in {**wanted, **own} if not key.endswith(alike)]
        differing.append(tuple(key for key in keys if own.get(key) != wanted.get(key)))
        ranks.append((len(differing[-1]), distance))
    if not ranks or (min(ranks)[0] > 0 and ranks.count(min(ranks)) > 1):
        return None, ()
    nearest_one = ranks.index(min(ranks))
    return alone[nearest_one], differing[nearest_one]


def _settings(config: Config) -> Iterator[tuple[str, object]]:
    """Yield what may make a difference to a task alone, key by key."""

    def flat(table: dict[str, object], prefix: str) -> Iterator[tuple[str, object]]:
        for key, value in table.items():
            if isinstance(value, dict):
                yield from flat(value, f"{prefix}{key}.")
            elif f"{prefix}{key}" not in _INDIFFERENT:
                yield f"{prefix}{key}", value

    table = effective(config)
    table.pop("checkpoint")
    alone = {*config.sharing.schemes, *config.training.regularisers}
    table["methods"] = {name: own for name, own in table["methods"].items() if name in alone}
    for number, stage in enumerate(table["stages"], 1):
        for key in EXPOSURE_KEYS:
            name = key.removeprefix("training.")
            if name in stage["training"]:
                yield f"stages.{number}.{key}", stage["training"].pop(name)
    yield from flat(table, "")


@dataclass(frozen=True)
class Contrast:
    """A group of runs against another one, on a task.

    Attributes:
        group: the one.
        baseline: the other.
        task: by name, or `MEAN`.
        difference: the one minus the other.
    """

    group: Group
    baseline: Group
    task: str
    difference: Difference


def find_group(groups: Sequence[Group], name: str) -> Group:
    """Return the group of a name, or the only one whose name holds it.

    Raises:
        UsageError: if there is none, or several.
    """
    found = [own for own in groups if own.name == name]
    found = found or [own for own in groups if name in own.name]
    if len(found) != 1:
        names = [own.name for own in found or groups]
        what = "several groups" if found else "no group"
        raise UsageError(f"'{name}': {what}{nearest(name, names)}")
    return found[0]


def against(groups: Sequence[Group], baseline: Group) -> list[Contrast]:
    """Compare every other group with one, on each task and on the mean of them.

    Groups of other tasks are left out; `contrast_notes` names them.
    """
    contrasts = []
    for group in groups:
        if group is baseline or not _like(group, baseline):
            continue
        parts = {task: group_difference(task, group, baseline) for task in baseline.tasks}
        if len(parts) > 1:
            parts[MEAN] = mean_difference(list(parts.values()))
        contrasts += [Contrast(group, baseline, task, own) for task, own in parts.items()]
    return contrasts


def contrast_notes(groups: Sequence[Group], baseline: Group) -> list[str]:
    """Return what has to be known beside `against`: who is left out, and what chance alone does."""
    alike = [own.name for own in groups if own is not baseline and _like(own, baseline)]
    others = [own.name for own in groups if not _like(own, baseline)]
    notes = []
    for own in groups:
        if own is not baseline and _like(own, baseline):
            notes += _pairing_note(own, baseline)
    if others:
        notes.append(f"Not compared, as their tasks are others: {'; '.join(others)}.")
    if (count := len(alike)) > 1:
        notes.append(
            f"Of {count} groups that do not differ at all about {0.05 * count:.1f} would leave 0"
            " out on a task by chance."
        )
    return notes


def _pairing_note(one: Group, other: Group) -> list[str]:
    """Say which runs of two groups have no partner, or one of another seed."""
    pairs = _paired(one.runs, other.runs)
    most = max(len(one.runs), len(other.runs))
    if any(mine.seed != theirs.seed for mine, theirs in pairs):
        return [f"{one.name}: shares no seed with {other.name}; runs are paired as they come."]
    if len(pairs) < most:
        return [f"{one.name}: {len(pairs)} of {most} runs have a partner of the same seed."]
    return []


def _like(one: Group, other: Group) -> bool:
    return set(one.tasks) == set(other.tasks)


def digits(spread: float | None) -> str:
    """Say a standard deviation as it stands behind a mean."""
    return "" if spread is None or math.isnan(spread) else f" ± {spread:.3f}"


def continual_columns(groups: Sequence[Group]) -> list[str]:
    """Return which of `CONTINUAL`'s figures any group has."""
    return [name for name in CONTINUAL if any(name in group.continual for group in groups)]


def continual_cells(group: Group, names: Sequence[str]) -> list[str]:
    """Return a group's figures of these names as tables show them.

    The average accuracy of runs that train all tasks together is the mean of their figures.
    """
    found = group.continual or {"average_accuracy": group.average}
    return [
        f"{found[name][0]:.3f}{digits(found[name][1])}" if name in found else "–" for name in names
    ]


def metric_columns(groups: Sequence[Group]) -> Iterator[tuple[str, str]]:
    """Yield every task of any group with its metric's name, in order of appearance."""
    names = {
        task: run.tasks[task].metric
        for group in groups for run in group.runs[:1] for task in group.tasks
    }  # fmt: skip
    yield from names.items()
