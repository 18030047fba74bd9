"""A page's sections on whether sharing was worth it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from accord.comparison.cost import shared_models
from accord.comparison.family import Comparison
from accord.comparison.notes import comparison_notes
from accord.comparison.sharing import SharingVerdict
from accord.comparison.sharing_tables import (
    answer_table,
    cost_table,
    exposure_table,
    figures_table,
)
from accord.report.figures import DifferenceRow, differences, learning_curves
from accord.report.page import Figure, Section
from accord.report.record import RunRecord


def sharing_sections(
    comparison: Comparison,
    curves: Mapping[str, Sequence[RunRecord]] | None = None,
    known: Sequence[str] = (),
) -> list[Section]:
    """Return the report's sections; its first paragraph is `accord.comparison.answer`'s.

    Args:
        comparison: of finished runs.
        curves: runs whose learning curves are drawn, those that differ by seed alone by a name.
        known: what else a reader has to know, a paragraph each.
    """
    verdicts = comparison.sharing
    sections = []
    if verdicts:
        sections += [
            Section("The answer, task by task", [], [answer_table(verdicts),
                                                     forest_plot(comparison)]),
            Section("Figures", [], [figures_table(verdicts)]),
            Section("Cost", [], [cost_table(shared_models(comparison))]),
            Section("Exposure", [], [exposure_table(verdicts)]),
        ]  # fmt: skip
    if curves:
        figure = learning_curves("learning-curves", "Learning curves", curves)
        sections.append(Section("Learning", [], [figure]))
    if notes := [*comparison_notes(comparison), *known]:
        sections.append(Section("Notes", notes, []))
    return sections


def forest_plot(comparison: Comparison) -> Figure:
    """Return every task's difference with its interval, verdict and figures."""
    several = len({each.model for each in comparison.sharing}) > 1
    rows = [
        DifferenceRow.of(
            f"{each.task}: {each.model}" if several else each.task,
            each.difference.value, each.verdict, comparison.margin, _figures(each),
        )
        for each in comparison.sharing
    ]  # fmt: skip
    return differences("differences", "Together minus alone", rows)


def _figures(each: SharingVerdict) -> str:
    alone, together = (group.mean(each.task) for group in (each.alone, each.together))
    return (
        f"{each.compared.metric}: alone {alone:z.3f}, together {together:z.3f},"
        f" constant {each.compared.constant:z.3f}"
    )
