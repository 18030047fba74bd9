"""What a grid would run, with an estimate of its time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accord.plural import count
from accord.terminal import echo

if TYPE_CHECKING:
    from accord.grids.cells import Cell


def show_plan(cells: Sequence[Cell], out: Path, workers: int, as_json: bool) -> None:
    """Print every cell with its state and how long it will take."""
    from accord.errors import AccordError
    from accord.grids.running import states
    from accord.plan.making import plan_run
    from accord.runs.estimate import duration
    from accord.training.stages.run import expected_seconds

    seconds: dict[str, float] = {}
    entries: list[dict[str, Any]] = []
    for each in states(cells, out):
        cell = each.cell
        if cell.group not in seconds:
            try:
                seconds[cell.group] = expected_seconds(plan_run(cell.config))
            except AccordError as error:
                error.args = (f"cell {cell.name}: {error}",)
                raise
        entries.append({
            "cell": cell.name, "state": each.state,
            "seconds": 0.0 if each.state == "done" else seconds[cell.group],
            "settings": cell.settings,
        })  # fmt: skip
    total = sum(entry["seconds"] for entry in entries) / workers
    if as_json:
        echo(json.dumps({"cells": entries, "seconds": total}))
        return

    from accord.cli.results import new_table, print_table

    table = new_table("cell", "state", "expected")
    for entry in entries:
        expected = entry["seconds"]
        table.add_row(entry["cell"], entry["state"], duration(expected) if expected else "–")
    print_table(table)
    left = sum(entry["state"] != "done" for entry in entries)
    with_workers = f" with {workers} workers" if workers > 1 else ""
    echo(
        f"{count(len(entries), 'cell')}, {left} to run: about {duration(total)}{with_workers},"
        " set-up left out; a cell that was stopped has less to do"
    )
