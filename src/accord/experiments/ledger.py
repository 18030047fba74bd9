"""What each run was shown of each task, and what it took."""

from __future__ import annotations

from collections.abc import Iterable

from accord.comparison.group import Group
from accord.report.page import Table


def ledger(groups: Iterable[Group]) -> Table:
    """Return the exposure of each group and task: means over its runs."""
    rows = [_row(group, task) for group in groups for task in group.tasks]
    columns = [
        "runs of", "task", "rows", "examples seen", "epochs over the data", "steps", "tokens read",
        "padding avoided", "seconds", "seconds per epoch",
    ]  # fmt: skip
    note = (
        "Tokens and padding are of training alone; padding is what the longest example of each"
        " step would have cost the task's others. Seconds are of a run's steps, all its tasks"
        " together, evaluation left out."
    )
    return Table("ledger", "What each run was shown", columns, rows, left=2, note=note)


def _row(group: Group, task: str) -> list[str]:
    mean = {key: group.exposure(task, key) for key in group.runs[0].results["exposure"][task]}
    padded = mean["tokens"] + mean["padding_tokens"]
    return [
        group.name, task, f"{mean['rows']:,.0f}", f"{mean['examples']:,.0f}",
        f"{mean['epochs']:.2f}", f"{mean['steps']:,.0f}", f"{mean['tokens']:,.0f}",
        f"{mean['padding_tokens'] / padded:.0%}" if mean["padding_tokens"] else "–",
        f"{group.train_seconds:.0f}", f"{group.seconds_per_epoch:.1f}",
    ]  # fmt: skip
