"""Every group against one of them, task by task and on the mean of the tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from accord.comparison.differences import RowsDiffer, TaskDifference, task_difference
from accord.comparison.exposure import stopped_exposure_notes
from accord.comparison.group import Group
from accord.comparison.notes import exploratory_note, pairing_note
from accord.statistics.crossed import Difference, mean_difference
from accord.statistics.verdict import Verdict

MEAN = "mean of tasks"
"""Where a task's name stands: the mean of all tasks' metrics. No task can have it."""


@dataclass(frozen=True)
class Contrast:
    """A group of runs against another one, on a task.

    Attributes:
        group: the one.
        baseline: the other.
        task: by name, or `MEAN`.
        difference: the one minus the other.
        verdict: after the correction over all contrasts of the table.
        learnt: whether either group beats the best constant prediction.
        label: what is compared, as it is shown; default: the group's name.
    """

    group: Group
    baseline: Group
    task: str
    difference: Difference
    verdict: Verdict
    learnt: bool = True
    label: str = ""


def contrast_rows(
    groups: Sequence[Group], baseline: Group
) -> tuple[list[tuple[Group, str, Difference, bool]], list[str]]:
    """Compare every other group with one, on each task and on the mean of them.

    Args:
        groups: of finished runs; `contrast_notes` names those of other tasks, which are left out.
        baseline: one of them.

    Returns:
        Group, task, difference and whether either side learnt anything; and a line for each group
        whose figures are not of the same rows.
    """
    rows: list[tuple[Group, str, Difference, bool]] = []
    refused = []
    for group in groups:
        if group is baseline or not _same_tasks(group, baseline):
            continue
        try:
            parts = [task_difference(task, group, baseline) for task in baseline.tasks]
        except RowsDiffer as error:
            refused.append(f"{group.name}: not compared: {error}.")
            continue
        rows += [(group, part.task, part.difference, part.learnt) for part in parts]
        if len(parts) > 1:
            rows.append((group, MEAN, *_mean(parts)))
    return rows, refused


def _mean(parts: Sequence[TaskDifference]) -> tuple[Difference, bool]:
    return (
        mean_difference([part.difference for part in parts]),
        any(part.learnt for part in parts),
    )


def contrast_notes(groups: Sequence[Group], baseline: Group) -> list[str]:
    """Return the notes on `against`: which groups are left out, whose exposure differs, and
    that the best of many was chosen on these runs."""
    comparable = [
        group for group in groups if group is not baseline and _same_tasks(group, baseline)
    ]
    others = [group.name for group in groups if not _same_tasks(group, baseline)]
    notes = [note for group in comparable if (note := pairing_note(group, baseline))]
    notes += stopped_exposure_notes(comparable, baseline)
    if others:
        notes.append(f"Not compared, as they have other tasks: {'; '.join(others)}.")
    if best := exploratory_note([*comparable, baseline]):
        notes.append(best)
    return notes


def _same_tasks(one: Group, other: Group) -> bool:
    return set(one.tasks) == set(other.tasks)
