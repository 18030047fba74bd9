"""The report of a grid: its groups of runs, and what sharing and each of its settings did."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from accord.comparison.against import Contrast, contrast_notes
from accord.comparison.group import (
    Group,
    continual_cells,
    continual_columns,
    metric_cells,
    metric_columns,
)
from accord.comparison.notes import correction_note, group_notes, judged_note
from accord.comparison.summary import sharing_result
from accord.comparison.whole import Comparison
from accord.comparison.words import interval_words, seeds_words
from accord.report.comparison.answer import answer
from accord.report.comparison.page import sharing_sections
from accord.report.figures import DifferenceRow, differences
from accord.report.page import Figure, Section, Table, slug
from accord.report.writing import write_report


def grid_report(
    out: Path,
    comparison: Comparison,
    title: str,
    notes: Sequence[str] = (),
    formats: Sequence[str] = (),
) -> None:
    """Write `report.html`, `report.md`, tables and figures into a grid's folder.

    Args:
        out: the folder.
        comparison: of its finished runs.
        title: of the page.
        notes: on the runs.
        formats: of figures and tables besides SVG and CSV.
    """
    groups, baseline = comparison.groups, comparison.baseline
    about = [judged_note(groups), *group_notes(groups), *notes] if groups else list(notes)
    sections = [Section("Runs", about, [groups_table(groups)])]
    if baseline is not None:
        items = list(_contrasts(comparison, baseline))
        said = contrast_notes(groups, baseline)
        if said or items:
            sections.append(Section(f"Against {baseline.name}", said, items))
    lead = []
    if comparison.sharing:
        result = sharing_result(comparison)
        lead = [answer(result)]
        sections += sharing_sections(result)
    write_report(out, title, lead, sections, formats)


def _contrasts(comparison: Comparison, baseline: Group) -> Iterator[Table | Figure]:
    """Yield the table of all differences, and a figure for each task."""
    contrasts, margin = comparison.contrasts, comparison.margin
    if contrasts:
        yield contrast_table(contrasts, correction_note(comparison.differences))
    names: list[str] = []
    for task in dict.fromkeys(each.task for each in contrasts):
        names.append(f"differences-{slug(task)}")
        while names[-1] in names[:-1]:  # as tasks of different names may have one slug
            names[-1] += "-2"
        rows = sorted(
            (_row(each, margin) for each in contrasts if each.task == task),
            key=lambda row: -row.value,
        )
        yield differences(names[-1], f"{task}: against {baseline.name}", rows)


def groups_table(groups: Sequence[Group]) -> Table:
    """Return each group's figures on held-out rows, the mean of them, what it learned and forgot
    where tasks come one after another, and what it costs."""
    tasks, continual = dict(metric_columns(groups)), continual_columns(groups)
    rows = []
    for group in groups:
        mean = statistics.fmean(group.mean(task) for task in group.tasks)
        steps = sum(int(run.results["steps"]) for run in group.runs)
        seconds = group.train_seconds * len(group.runs) / steps
        rows.append([
            group.name, str(len(group.runs)), *metric_cells(group, tuple(tasks)), f"{mean:.3f}",
            *continual_cells(group, continual), f"{group.train_seconds:.0f}",
            f"{1000 * seconds:.0f}", f"{group.parameters / 1e6:.1f}",
            f"{group.peak_memory / (1 << 30):.1f}",
        ])  # fmt: skip
    columns = [
        "group", "runs", *(f"{task} {metric}" for task, metric in tasks.items()), "mean",
        *(name.replace("_", " ") for name in continual),
        "seconds of training", "ms per step", "million parameters", "GiB of memory",
    ]  # fmt: skip
    note = (
        "Figures on held-out rows: mean and standard deviation over seeds. Memory is the most of"
        " any run."
    )
    return Table("groups", "Groups of runs that differ in their seed alone", columns, rows, 1, note)


def contrast_table(contrasts: Sequence[Contrast], note: str) -> Table:
    """Return each difference with its interval and verdict; `note` is on their correction."""
    rows = [
        [
            each.group.name, each.task, each.verdict.word,
            f"{len(each.difference.ours)} and {len(each.difference.theirs)}",
            f"{each.difference.value:+.4f}", interval_words(each.verdict, "+.4f"),
            "–" if each.verdict.p_adjusted is None else f"{each.verdict.p_adjusted:.3g}",
            seeds_words(each.difference, each.verdict.level)
            if each.difference.seeds_known else "–",
        ]
        for each in contrasts
    ]  # fmt: skip
    columns = ["group", "task", "verdict", "runs", "difference", "interval", "adjusted p",
               "to show 1 point"]  # fmt: skip
    return Table("differences", "Differences", columns, rows, 3, note)


def _row(each: Contrast, margin: float | None) -> DifferenceRow:
    return DifferenceRow(
        each.group.name, 100 * each.difference.value, 100 * each.verdict.low,
        100 * each.verdict.high, each.verdict.kind, each.verdict.word,
        None if margin is None else 100 * margin,
    )  # fmt: skip
