"""The report of a grid: its groups of runs, and what sharing and each of its settings did."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from accord.comparison.answer import answer
from accord.comparison.class_tables import class_sections
from accord.comparison.contrast_page import contrast_sections
from accord.comparison.family import Comparison
from accord.comparison.group import (
    Group,
    constant_cells,
    continual_cells,
    continual_columns,
    metric_cells,
    metric_columns,
)
from accord.comparison.notes import evaluation_note, group_notes
from accord.comparison.sharing_page import sharing_sections
from accord.report.page import Section, Table
from accord.report.writing import write_report


def grid_report(
    out: Path,
    comparison: Comparison,
    title: str,
    notes: Sequence[str] = (),
    formats: Sequence[str] = (),
    more: Sequence[Section] = (),
) -> None:
    """Write `report.html`, `report.md`, tables and figures into a grid's folder.

    Args:
        out: the folder.
        comparison: of its finished runs.
        title: of the page.
        notes: on the runs.
        formats: of figures and tables besides SVG and CSV.
        more: sections at the end.
    """
    groups = comparison.groups
    about = [evaluation_note(groups), *group_notes(groups), *notes] if groups else list(notes)
    sections = [Section("Runs", about, [groups_table(groups)])]
    sections += contrast_sections(comparison)
    lead = []
    if comparison.sharing:
        lead = [answer(comparison)]
        sections += sharing_sections(comparison)
    write_report(out, title, lead, [*sections, *class_sections(groups), *more], formats)


def groups_table(groups: Sequence[Group]) -> Table:
    """Return each group's figures on held-out rows, the mean of them, what it learned and forgot
    where tasks come one after another, and what it costs."""
    tasks, continual = dict(metric_columns(groups)), continual_columns(groups)
    constant = [*constant_cells(groups, tuple(tasks)), "–", *("–" for _ in continual)]
    rows = [["the best constant prediction", "", *constant, "", "", "", ""]]
    if set(constant) == {"–"}:
        rows = []
    for group in groups:
        mean = statistics.fmean(group.mean(task) for task in group.tasks)
        steps = sum(int(run.results["steps"]) for run in group.runs)
        seconds = group.train_seconds * len(group.runs) / steps
        rows.append([
            group.name, str(len(group.runs)), *metric_cells(group, tuple(tasks)), f"{mean:z.3f}",
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
