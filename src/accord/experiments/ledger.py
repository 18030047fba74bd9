"""What each run was shown of each task, and what it took."""

from __future__ import annotations

from accord.comparison.group import Group
from accord.experiments.paper import NAMES
from accord.experiments.results import Results
from accord.report.page import Table


def ledger(results: Results) -> Table:
    """Return the exposure of each group and task: means over its runs."""
    rows = [row for _, group in results.groups for row in _rows(group)]
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


def _rows(group: Group) -> list[list[str]]:
    rows = []
    for task in group.tasks:
        each = [run.results["exposure"][task] for run in group.runs]
        own = {key: sum(one[key] for one in each) / len(each) for key in each[0]}
        padded = own["tokens"] + own["padding_tokens"]
        rows.append([
            group.name, NAMES.get(task, task), f"{own['rows']:,.0f}", f"{own['examples']:,.0f}",
            f"{own['epochs']:.2f}", f"{own['steps']:,.0f}", f"{own['tokens']:,.0f}",
            f"{own['padding_tokens'] / padded:.0%}" if own["padding_tokens"] else "–",
            f"{group.train_seconds:.0f}", f"{group.seconds_per_epoch:.1f}",
        ])  # fmt: skip
    return rows
