"""Runs that differ in their seed alone, as one line of a table."""

from __future__ import annotations

import json
import math
import os
import re
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from accord.comparison.contents import content_table
from accord.config.sections import SelectionConfig
from accord.errors import UsageError, nearest
from accord.model.layers_computed import LayersComputed, layers_of_folder
from accord.report.record import RunRecord

CONTINUAL = ("average_accuracy", "forgetting", "backward_transfer")
"""Figures of runs that learn task after task (`accord.evaluation.continual`)."""


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

    @property
    def selection(self) -> SelectionConfig | None:
        """What chose the settings of any of the runs, the one with the most candidates; None if
        nothing did."""
        chosen = [run.config.selection for run in self.runs if run.config.selection is not None]
        return max(chosen, key=lambda choice: choice.candidates, default=None)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of each run."""
        return tuple(run.seed for run in self.runs)

    def values(self, task: str) -> list[float]:
        """Each run's metric on rows that no choice has seen."""
        return [run.heldout_values[task] for run in self.runs]

    def mean(self, task: str) -> float:
        """The mean of `values`."""
        return statistics.fmean(self.values(task))

    def spread(self, task: str) -> float | None:
        """Standard deviation of `values` over seeds; None for one run."""
        return _spread(self.values(task))

    def dev_values(self, task: str) -> list[float]:
        """Each run's metric on the dev rows, at the epoch that these rows chose: the paper's rule,
        which is too good by `gap`."""
        return [run.metrics[task] for run in self.runs]

    def dev_mean(self, task: str) -> float:
        """The mean of `dev_values`."""
        return statistics.fmean(self.dev_values(task))

    def dev_spread(self, task: str) -> float | None:
        """Standard deviation of `dev_values` over seeds; None for one run."""
        return _spread(self.dev_values(task))

    def gap(self, task: str) -> float:
        """By how much evaluating on the rows that chose the epoch flatters, the mean over runs."""
        return statistics.fmean(run.results["heldout"][task]["gap"] for run in self.runs)

    def constant(self, task: str) -> float | None:
        """What the best constant prediction gets on the rows that `values` are of."""
        value = self.runs[0].results["heldout"][task].get("constant")
        return None if value is None else float(value)

    def exposure(self, task: str, what: str = "examples") -> float:
        """What training showed of a task, the mean over runs: `examples`, `tokens` or `steps`."""
        return statistics.fmean(run.results["exposure"][task][what] for run in self.runs)

    @property
    def continual(self) -> dict[str, tuple[float, float | None]]:
        """Of runs that evaluate finished tasks again: what they learned and forgot, by
        `CONTINUAL`'s names; mean and standard deviation over seeds. What no run has isn't there."""
        figures = {}
        for name in CONTINUAL:
            values = [run.results.get("continual", {}).get(name) for run in self.runs]
            if numbers := [float(value) for value in values if value is not None]:
                figures[name] = (statistics.fmean(numbers), _spread(numbers))
        return figures

    @property
    def average(self) -> tuple[float, float | None]:
        """The mean of the tasks' metrics on held-out rows; mean and standard deviation over
        seeds."""
        means = [statistics.fmean(each) for each in zip(*map(self.values, self.tasks), strict=True)]
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
    def model(self) -> Path:
        """The folder of the first run's model."""
        return self.runs[0].path / "model"

    @cached_property
    def layers_computed(self) -> LayersComputed:
        """The encoder layers that an answer to all tasks takes."""
        return layers_of_folder(self.model)

    @property
    def model_bytes(self) -> int:
        """What the model folder takes on disk."""
        return sum(file.stat().st_size for file in self.model.iterdir())


def _spread(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None


def group_runs(runs: Sequence[RunRecord]) -> list[Group]:
    """Put runs that differ in their seed alone together, in order of appearance.

    Their configs are equal, and so is the content of their files, the held-out rows' too. A group
    is named by what its runs' names have in common before their seed; where that is not its alone,
    by its first run and how many others it has.

    Raises:
        UsageError: two runs of one config and one seed.
    """
    groups: dict[str, list[RunRecord]] = {}
    for run in runs:
        same_config = groups.setdefault(_identity(run), [])
        for other in same_config:
            if other.seed == run.seed:
                raise UsageError(
                    f"{other.path}, {run.path}: are runs of one config and of one seed, {run.seed};"
                    " leave one out"
                )
        same_config.append(run)
    names = [_common_name(same_config) for same_config in groups.values()]
    return [
        Group(
            name if name and names.count(name) == 1 else _first_name(same_config),
            sorted(same_config, key=lambda run: run.seed),
        )
        for same_config, name in zip(groups.values(), names, strict=True)
    ]


def _identity(run: RunRecord) -> str:
    """Return what runs that differ in their seed alone have in common, and no others."""
    table = content_table(run)
    table["training"].pop("seed")
    for task in table["tasks"].values():
        task.pop("test", None)
    evaluated = [
        [task.to_json(), run.results["heldout"][name]["on"], run.heldout_content(name)]
        for name, task in run.tasks.items()
    ]
    return json.dumps([table, evaluated], sort_keys=True)


def _common_name(runs: Sequence[RunRecord]) -> str:
    """Return how all names begin, without a seed at the end."""
    if len(runs) == 1:
        return runs[0].name
    start = os.path.commonprefix([run.name for run in runs])  # noqa: RUF071 (letters, not folders)
    return re.sub(r"[,/_. -]*(seed)?[=_-]?\d*$", "", start)


def _first_name(runs: Sequence[RunRecord]) -> str:
    return runs[0].name + (f" and {len(runs) - 1} more" if len(runs) > 1 else "")


def find_group(groups: Sequence[Group], name: str) -> Group:
    """Return the group of a name, or of a run's name, or the only one whose name holds it.

    Raises:
        UsageError: if there is none, or several.
    """
    chosen = [group for group in groups if name in (group.name, *(run.name for run in group.runs))]
    chosen = chosen or [group for group in groups if name in group.name]
    if len(chosen) != 1:
        names = [group.name for group in chosen or groups]
        what = "several groups" if chosen else "no group"
        raise UsageError(f"'{name}': {what}{nearest(name, names)}")
    return chosen[0]


def margin_of(groups: Sequence[Group], points: float | None) -> float | None:
    """Return the margin within which two models are as good, in the metrics' units.

    Args:
        groups: whose configs say it where `points` doesn't.
        points: hundredths of a metric.

    Raises:
        UsageError: if the configs have several.
    """
    if points is None:
        given = {run.config.comparison.margin for group in groups for run in group.runs} - {None}
        if len(given) > 1:
            shown = ", ".join(f"{each:g}" for each in sorted(filter(None, given)))
            raise UsageError(
                f"the runs' configs have margins of {shown} points: choose by --margin"
            )
        points = next(iter(given), None)
    return None if points is None else points / 100


def metric_columns(groups: Sequence[Group]) -> Iterator[tuple[str, str]]:
    """Yield every task of any group with its metric's name, in order of appearance."""
    names = {
        task: run.tasks[task].metric_name
        for group in groups for run in group.runs[:1] for task in group.tasks
    }  # fmt: skip
    yield from names.items()


def plus_minus(mean: float, spread: float | None) -> str:
    """Say a mean with the standard deviation over seeds after it.

    Example:
        >>> plus_minus(0.5, 0.0123), plus_minus(0.5, None)
        ('0.500 ± 0.012', '0.500')
    """
    return f"{mean:z.3f}" + ("" if spread is None or math.isnan(spread) else f" ± {spread:z.3f}")


def metric_cells(
    group: Group, tasks: Sequence[str], say: Callable[[Group, str], str] | None = None
) -> list[str]:
    """Return a group's figures on held-out rows as tables show them, '–' for tasks it hasn't."""
    say = say or (lambda group, task: plus_minus(group.mean(task), group.spread(task)))
    return [say(group, task) if task in group.tasks else "–" for task in tasks]


def constant_cells(groups: Sequence[Group], tasks: Sequence[str]) -> list[str]:
    """Return what the best constant prediction gets on each task, as tables show it; '–' where
    groups were evaluated on rows on which it differs."""
    cells = []
    for task in tasks:
        values = {group.constant(task) for group in groups if task in group.tasks}
        value = next(iter(values)) if len(values) == 1 else None
        cells.append("–" if value is None else f"{value:z.3f}")
    return cells


def continual_columns(groups: Sequence[Group]) -> list[str]:
    """Return which of `CONTINUAL`'s figures any group has."""
    return [name for name in CONTINUAL if any(name in group.continual for group in groups)]


def continual_cells(group: Group, names: Sequence[str]) -> list[str]:
    """Return a group's figures of these names as tables show them.

    The average accuracy of runs that train all tasks together is the mean of their figures.
    """
    figures = group.continual or {"average_accuracy": group.average}
    return [plus_minus(*figures[name]) if name in figures else "–" for name in names]
