"""All comparisons that are shown together: computed once, corrected as one family."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from accord.comparison.against import Contrast, contrast_rows
from accord.comparison.group import Group
from accord.comparison.sharing import SharingVerdict, sharing_pairs
from accord.evaluation.answer_seconds import AnswerSeconds
from accord.showing import Part, Shown
from accord.statistics.crossed import Difference
from accord.statistics.verdict import verdicts


@dataclass(frozen=True, repr=False)
class Comparison(Shown):
    """Groups of runs, and the verdicts on their differences.

    Attributes:
        groups: of finished runs.
        margin: a difference up to which models count as equally good; of a metric: 0.01 is one
            point.
        sharing: each task alone against the same task in a shared model.
        baseline: the group that all others are compared with; None compares none.
        contrasts: each other group against it.
        refused: what could not be compared, and why, one line each.
        answering: how long a shared model's answers take, and those of its tasks' models, by its
            group's name; of those where it was measured (`accord.comparison.cost`).
    """

    groups: Sequence[Group]
    margin: float | None
    sharing: tuple[SharingVerdict, ...]
    baseline: Group | None = None
    contrasts: tuple[Contrast, ...] = ()
    refused: tuple[str, ...] = ()
    answering: Mapping[str, AnswerSeconds] = field(default_factory=dict)

    @property
    def differences(self) -> list[Difference]:
        """All that are corrected together."""
        return [
            *(each.difference for each in self.sharing),
            *(each.difference for each in self.contrasts),
        ]

    @property
    def corrected(self) -> int:
        """How many are: those whose variance over seeds is known."""
        return sum(each.seeds_known for each in self.differences)

    def shown(self) -> Iterator[Part]:
        """Yield what `accord compare` prints."""
        from accord.comparison.parts import comparison_parts

        return comparison_parts(self)


def compare_groups(
    groups: Sequence[Group], margin: float | None = None, baseline: Group | None = None
) -> Comparison:
    """Compare groups of runs: what sharing did, and what each has over a baseline.

    Args:
        groups: of finished runs.
        margin: a difference up to which models count as equally good; of a metric: 0.01 is one
            point.
        baseline: one of them, or None.
    """
    pairs, refused = sharing_pairs(groups)
    rows, others = ([], []) if baseline is None else contrast_rows(groups, baseline)
    evaluated = iter(verdicts(
        [*(pair.difference for pair in pairs), *(row[2] for row in rows)],
        margin=margin,
        learnt=[*(pair.compared.learnt for pair in pairs), *(row[3] for row in rows)],
    ))  # fmt: skip
    shared = [SharingVerdict(**vars(pair), verdict=next(evaluated)) for pair in pairs]
    contrasts = [
        Contrast(group, baseline, task, difference, next(evaluated), learnt)
        for group, task, difference, learnt in rows
        if baseline is not None
    ]
    return Comparison(
        groups, margin, tuple(shared), baseline, tuple(contrasts), (*refused, *others)
    )
