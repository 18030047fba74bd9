"""Was sharing worth it: each task alone against the same task in a shared model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from accord.comparison.differences import RowsDiffer, TaskDifference, task_difference
from accord.comparison.group import Group
from accord.comparison.settings import nearest_single_task
from accord.statistics.crossed import Difference
from accord.statistics.verdict import Verdict


@dataclass(frozen=True)
class SharingPair:
    """One task alone and the same task in a shared model.

    Attributes:
        alone: the group that was trained on it alone.
        together: the group of a shared model.
        compared: together minus alone, and the best constant prediction on the same rows.
        differing: keys in which the two differ besides; none should.
    """

    alone: Group
    together: Group
    compared: TaskDifference
    differing: tuple[str, ...] = ()

    @property
    def task(self) -> str:
        """Its name."""
        return self.compared.task

    @property
    def model(self) -> str:
        """The shared model's name."""
        return self.together.name

    @property
    def difference(self) -> Difference:
        """Together minus alone."""
        return self.compared.difference

    @property
    def runs(self) -> tuple[int, int]:
        """How many alone, and how many together."""
        return len(self.alone.runs), len(self.together.runs)


@dataclass(frozen=True)
class SharingVerdict(SharingPair):
    """One task alone against the same task in a shared model.

    Attributes:
        verdict: after the correction over all comparisons that are shown with it.
    """

    verdict: Verdict = field(kw_only=True)


def sharing_pairs(groups: Sequence[Group]) -> tuple[list[SharingPair], list[str]]:
    """Pair every shared group with the groups of its single tasks, where there are any.

    A task that was trained beside one without labels isn't alone. Of several groups of a task
    alone that one counts whose settings differ least; where several are equally near, but none
    has the same settings, none counts.

    Args:
        groups: of finished runs.

    Returns:
        What can be compared, and a line for each task that can't be.
    """
    alone = [group for group in groups if len(group.trained) == 1]
    pairs, refused = [], []
    for together in groups if alone else ():
        for task in together.tasks if len(together.trained) > 1 else ():
            candidates = [other for other in alone if other.trained == (task,)]
            nearest, differing = nearest_single_task(task, together, candidates)
            try:
                if nearest is None:
                    refused.append(_line(task, together, _reason(candidates)))
                    continue
                compared = task_difference(task, together, nearest)
            except RowsDiffer as error:
                refused.append(_line(task, together, str(error)))
                continue
            pairs.append(SharingPair(nearest, together, compared, differing))
    return pairs, [*refused, *_lost(groups, alone)]


def uncompared(together: Group, verdicts: Sequence[SharingVerdict]) -> list[str]:
    """Return the tasks of a shared model that no verdict is of."""
    compared = {each.task for each in verdicts if each.together is together}
    return [task for task in together.tasks if task not in compared]


def _line(task: str, together: Group, reason: str) -> str:
    return f"{task}: not compared in {together.name}: {reason}."


def _reason(candidates: Sequence[Group]) -> str:
    if not candidates:
        return "no run was trained on it alone"
    names = ", ".join(group.name for group in candidates)
    return (
        "several groups were trained on it alone, and none has the same settings:"
        f" {names}; leave out all but one"
    )


def _lost(groups: Sequence[Group], alone: Sequence[Group]) -> list[str]:
    """Return why tasks that were trained alone have no verdict, though a run in stages had them."""
    return [
        f"{task}: no verdict, as {group.name} doesn't hold it: its last stage trains"
        f" {', '.join(group.tasks)}; with [memory] method = 'none' it is kept and evaluated."
        for group in groups if group.runs[0].config.stages
        for task in group.runs[0].config.labelled
        if task not in group.tasks and any(other.trained == (task,) for other in alone)
    ]  # fmt: skip
