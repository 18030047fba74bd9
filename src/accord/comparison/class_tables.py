"""A page's section on single classes: what each group of runs reaches on them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from accord.comparison.group import Group
from accord.report.page import Figure, Section, Table, slugs
from accord.report.record import RunRecord

_MOST = 8  # groups whose columns have room beside each other


def class_sections(groups: Sequence[Group]) -> list[Section]:
    """Return a section with a table for each task with classes; none without such tasks."""
    by_task: dict[str, list[Group]] = {}
    for group in groups:
        for task in group.tasks:
            if all(_classes(run, task) for run in group.runs):
                by_task.setdefault(task, []).append(group)
    names = slugs(by_task)
    tables: list[Table | Figure] = [
        _table(f"f1-by-class-{names[task]}", task, of) for task, of in by_task.items()
    ]
    text = (
        "F1 of each class on held-out rows, the mean over seeds; the worst class stands first,"
        " classes without rows last."
    )
    return [Section("Classes", [text], tables)] if tables else []


def _table(name: str, task: str, groups: Sequence[Group]) -> Table:
    shown, more = groups[:_MOST], len(groups) - _MOST
    values = {group.name: _means(group, task) for group in shown}
    rows = {
        label: each["support"]
        for group in reversed(shown) for label, each in _classes(group.runs[0], task).items()
    }  # fmt: skip
    order = sorted(
        rows,
        key=lambda label: (not rows[label], min(each.get(label, 1.0) for each in values.values())),
    )
    body = [
        [label, f"{rows[label]:,}",
         *(f"{each[label]:z.3f}" if label in each else "–" for each in values.values())]
        for label in order
    ]  # fmt: skip
    note = f"{more} groups more are not shown: results.json of each run has them." * (more > 0)
    return Table(name, f"{task}: F1 by class", ["class", "rows", *values], body, note=note)


def _means(group: Group, task: str) -> dict[str, float]:
    tables = [_classes(run, task) for run in group.runs]
    return {label: statistics.fmean(each[label]["f1"] for each in tables) for label in tables[0]}


def _classes(run: RunRecord, task: str) -> dict[str, Any]:
    """Return each class's figures on a run's held-out rows."""
    tables = run.results["heldout"][task].get("by_class", {})
    classes: dict[str, Any] = tables.get("test", tables.get("crossfit", {})).get("classes", {})
    return classes
