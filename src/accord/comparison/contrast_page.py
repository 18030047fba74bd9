"""A page's section on what each group has over a baseline: a table and figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from accord.comparison.against import Contrast, contrast_notes
from accord.comparison.family import Comparison
from accord.comparison.group import Group
from accord.comparison.notes import correction_note
from accord.comparison.words import interval_words, seeds_words
from accord.report.figures import DifferenceRow, differences
from accord.report.page import Figure, Section, Table, slugs


def contrast_sections(comparison: Comparison) -> list[Section]:
    """Return a section on every group against the baseline; none where there is no baseline, or
    nothing to say."""
    baseline = comparison.baseline
    if baseline is None:
        return []
    items = list(_contrasts(comparison, baseline))
    notes = contrast_notes(comparison.groups, baseline)
    return [Section(f"Against {baseline.name}", notes, items)] if notes or items else []


def _contrasts(comparison: Comparison, baseline: Group) -> Iterator[Table | Figure]:
    """Yield the table of all differences, and a figure for each task."""
    contrasts, margin = comparison.contrasts, comparison.margin
    if contrasts:
        yield contrast_table(contrasts, correction_note(comparison.differences))
    for task, name in slugs(each.task for each in contrasts).items():
        rows = sorted(
            (
                DifferenceRow.of(each.group.name, each.difference.value, each.verdict, margin)
                for each in contrasts
                if each.task == task
            ),
            key=lambda row: -row.value,
        )
        yield differences(f"differences-{name}", f"{task}: against {baseline.name}", rows)


def contrast_table(contrasts: Sequence[Contrast], note: str, first: str = "group") -> Table:
    """Return each difference with its interval and verdict.

    Args:
        contrasts: a row each.
        note: on their correction.
        first: what the first column names.
    """
    rows = [
        [
            each.label or each.group.name, each.task, each.verdict.word,
            f"{len(each.difference.ours)} and {len(each.difference.theirs)}",
            f"{each.difference.value:+z.4f}", interval_words(each.verdict, "+z.4f"),
            "–" if each.verdict.p_adjusted is None else f"{each.verdict.p_adjusted:.3g}",
            seeds_words(each.difference, each.verdict.level),
        ]
        for each in contrasts
    ]  # fmt: skip
    columns = [first, "task", "verdict", "runs", "difference", "interval", "adjusted p",
               "to show 1 point"]  # fmt: skip
    note += " To show 1 point: what would show a true difference of 1 point 4 times in 5."
    return Table("differences", "Differences", columns, rows, 3, note)
