"""All comparisons that are shown together: computed once, corrected as one family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from accord.comparison.against import Contrast, against
from accord.comparison.group import Group
from accord.comparison.sharing import SharingVerdict, sharing
from accord.statistics.crossed import Difference
from accord.statistics.verdict import verdicts


@dataclass(frozen=True)
class Comparison:
    """Groups of runs, and all that is said of their differences.

    Attributes:
        groups: of finished runs.
        margin: a difference of which two models are as good; of a metric, so 0.01 is one point.
        sharing: each task alone against the same task in a shared model.
        baseline: the group that all others are compared with; None compares none.
        contrasts: each other group against it.
    """

    groups: Sequence[Group]
    margin: float | None
    sharing: tuple[SharingVerdict, ...]
    baseline: Group | None = None
    contrasts: tuple[Contrast, ...] = ()

    @property
    def differences(self) -> list[Difference]:
        """All that are corrected together."""
        return [
            *(each.compared.difference for each in self.sharing),
            *(each.difference for each in self.contrasts),
        ]


def compare_groups(
    groups: Sequence[Group], margin: float | None = None, baseline: Group | None = None
) -> Comparison:
    """Compare groups of runs: what sharing did, and what each has over a baseline.

    Args:
        groups: of finished runs.
        margin: a difference of which two models are as good; of a metric, so 0.01 is one point.
        baseline: one of them, or None.
    """
    shared = sharing(groups, margin)
    contrasts = [] if baseline is None else against(groups, baseline, margin)
    if shared and contrasts:  # one family
        judged = verdicts(
            [*(each.compared.difference for each in shared),
             *(each.difference for each in contrasts)],
            margin=margin,
            learnt=[*(each.compared.learnt for each in shared),
                    *(each.learnt for each in contrasts)],
        )  # fmt: skip
        count = len(shared)
        shared = [
            replace(each, verdict=verdict)
            for each, verdict in zip(shared, judged[:count], strict=True)
        ]
        contrasts = [
            replace(each, verdict=verdict)
            for each, verdict in zip(contrasts, judged[count:], strict=True)
        ]
    return Comparison(groups, margin, tuple(shared), baseline, tuple(contrasts))
