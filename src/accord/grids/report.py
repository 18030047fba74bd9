"""The report of a grid: its groups of runs, and what each has over one of them."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from accord.compare import (
    Contrast,
    Group,
    against,
    continual_cells,
    continual_columns,
    contrast_notes,
    digits,
    metric_columns,
)
from accord.report.figures import DifferenceRow, differences
from accord.report.page import Figure, Section, Table, slug
from accord.report.writing import write_report

_NOTE = (
    "Intervals are over seeds and dev rows, paired by both; over dev rows alone where there is one"
    " pair of runs. A verdict takes 5. The dev rows also chose each run's best epoch, and whatever"
    " was tuned by them: figures are too good by that."
)


def grid_report(
    out: Path,
    groups: Sequence[Group],
    baseline: Group | None,
    title: str,
    notes: Sequence[str] = (),
    formats: Sequence[str] = (),
) -> None:
    """Write `report.html`, `report.md`, tables and figures into a grid's folder.

    Args:
        out: the folder.
        groups: of finished runs.
        baseline: that the others are held against; None compares nothing.
        title: of the page.
        notes: on the runs.
        formats: of figures and tables besides SVG and CSV.
    """
    sections = [Section("Runs", list(notes), [groups_table(groups)])]
    if baseline is not None:
        notes, items = contrast_notes(groups, baseline), list(_contrasts(groups, baseline))
        if notes or items:
            sections.append(Section(f"Against {baseline.name}", notes, items))
    write_report(out, title, [], sections, formats)


def _contrasts(groups: Sequence[Group], baseline: Group) -> Iterator[Table | Figure]:
    """Yield the table of all differences, and a figure a task."""
    contrasts = against(groups, baseline)
    if contrasts:
        yield contrast_table(contrasts)
    names: list[str] = []
    for task in dict.fromkeys(own.task for own in contrasts):
        names.append(f"differences-{slug(task)}")
        while names[-1] in names[:-1]:  # as tasks of different names may have one slug
            names[-1] += "-2"
        rows = sorted(
            (_row(own) for own in contrasts if own.task == task), key=lambda row: -row.value
        )
        yield differences(names[-1], f"{task}: against {baseline.name}", rows)


def groups_table(groups: Sequence[Group]) -> Table:
    """Return each group's dev figures, the mean of them, what it learned and forgot where tasks
    come one after another, and what it costs."""
    tasks, continual = dict(metric_columns(groups)), continual_columns(groups)
    rows = []
    for group in groups:
        cells = [
            f"{group.mean(task):.3f}{digits(group.spread(task))}" if task in group.tasks else "–"
            for task in tasks
        ]
        mean = statistics.fmean(group.mean(task) for task in group.tasks)
        steps = sum(int(run.results["steps"]) for run in group.runs)
        seconds = group.train_seconds * len(group.runs) / steps
        rows.append([
            group.name, str(len(group.runs)), *cells, f"{mean:.3f}",
            *continual_cells(group, continual), f"{group.train_seconds:.0f}",
            f"{1000 * seconds:.0f}", f"{group.parameters / 1e6:.1f}",
            f"{group.peak_memory / (1 << 30):.1f}",
        ])  # fmt: skip
    columns = [
        "group", "runs", *(f"{task} {metric}" for task, metric in tasks.items()), "mean",
        *(name.replace("_", " ") for name in continual),
        "seconds of training", "ms a step", "million parameters", "GiB of memory",
    ]  # fmt: skip
    note = (
        "Dev figures of the best epoch: mean and standard deviation over seeds. Memory is the most"
        " of any run."
    )
    return Table("groups", "Groups of runs that differ in their seed alone", columns, rows, 1, note)


def contrast_table(contrasts: Sequence[Contrast]) -> Table:
    """Return each difference with its interval and verdict."""
    rows = [
        [
            own.group.name, own.task, own.difference.verdict, str(own.difference.seeds),
            f"{own.difference.value:+.4f}",
            f"{own.difference.low:+.4f} to {own.difference.high:+.4f}",
        ]
        for own in contrasts
    ]  # fmt: skip
    columns = ["group", "task", "verdict", "pairs", "difference", "95 % interval"]
    return Table("differences", "Differences", columns, rows, 3, _NOTE)


def _row(own: Contrast) -> DifferenceRow:
    found = own.difference
    return DifferenceRow(
        own.group.name, 100 * found.value, 100 * found.low, 100 * found.high, found.verdict
    )
