"""Was sharing worth it: each task alone against the same task in a shared model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from accord.comparison.differences import TaskDifference, task_difference
from accord.comparison.group import Group
from accord.comparison.settings import nearest_alone
from accord.statistics.verdict import Verdict, verdicts


@dataclass(frozen=True)
class SharingVerdict:
    """One task alone against the same task in a shared model.

    Attributes:
        alone: the group that was trained on it alone.
        together: the group of a shared model.
        compared: together minus alone, and what both are to be held against.
        verdict: after the correction over all comparisons of the table.
        differing: keys in which the two differ besides; none should.
    """

    alone: Group
    together: Group
    compared: TaskDifference
    verdict: Verdict
    differing: tuple[str, ...] = ()

    @property
    def task(self) -> str:
        """Its name."""
        return self.compared.task


def sharing(groups: Sequence[Group], margin: float | None = None) -> list[SharingVerdict]:
    """Compare every shared group with the groups of its single tasks, where there are any.

    A task that was trained beside one without labels isn't alone. Of several groups of a task
    alone that one counts whose settings differ least; where several are equally near, but none
    has the same settings, none counts. All comparisons are corrected together.

    Args:
        groups: of finished runs.
        margin: a difference of which the two are as good; of a metric, so 0.01 is one point.
    """
    pairs: list[tuple[Group, Group, TaskDifference, tuple[str, ...]]] = []
    for together in groups:
        for task in together.tasks if len(together.trained) > 1 else ():
            candidates = [other for other in groups if other.trained == (task,)]
            alone, differing = nearest_alone(task, together, candidates)
            if alone is not None:
                compared = task_difference(task, together, alone)
                pairs.append((alone, together, compared, differing))
    judged = verdicts(
        [compared.difference for _, _, compared, _ in pairs],
        margin=margin, learnt=[compared.learnt for _, _, compared, _ in pairs],
    )  # fmt: skip
    return [
        SharingVerdict(alone, together, compared, verdict, differing)
        for (alone, together, compared, differing), verdict in zip(pairs, judged, strict=True)
    ]


def uncompared(together: Group, verdicts: Sequence[SharingVerdict]) -> list[str]:
    """Return the tasks of a shared model that no verdict is of."""
    compared = {each.task for each in verdicts if each.together is together}
    return [task for task in together.tasks if task not in compared]


def sharing_notes(groups: Sequence[Group], verdicts: Sequence[SharingVerdict]) -> list[str]:
    """Return why tasks have no verdict, where any run was trained on one task alone."""
    alone = [group for group in groups if len(group.trained) == 1]
    if not alone:
        return []
    shared = [group for group in groups if len(group.trained) > 1]
    notes = [
        f"{task}: not compared in {group.name}: {_reason(task, alone)}."
        for group in shared for task in uncompared(group, verdicts)
    ]  # fmt: skip
    notes += [
        f"{task}: no verdict, as {group.name} doesn't hold it: its last stage trains"
        f" {', '.join(group.tasks)}; with [memory] method = 'none' it is kept and judged."
        for group in shared if group.runs[0].config.stages
        for task in group.runs[0].config.labelled
        if task not in group.tasks and any(other.trained == (task,) for other in alone)
    ]  # fmt: skip
    return notes


def _reason(task: str, alone: Sequence[Group]) -> str:
    names = [group.name for group in alone if group.trained == (task,)]
    if not names:
        return "no run was trained on it alone"
    return (
        f"several groups were trained on it alone, and none has the same settings:"
        f" {', '.join(names)}; leave out all but one"
    )
