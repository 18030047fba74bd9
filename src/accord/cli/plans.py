"""What a grid would run, with an estimate of its time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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
    rows, settings, total = [], [], 0.0
    for each in states(cells, out):
        if each.cell.group not in seconds:
            try:
                seconds[each.cell.group] = expected_seconds(plan_run(each.cell.config))
            except AccordError as error:
                error.args = (f"cell {each.cell.name}: {error}",)
                raise
        expected = 0.0 if each.state == "done" else seconds[each.cell.group]
        total += expected
        rows.append((each.cell.name, each.state, expected))
        settings.append(each.cell.settings)
    if as_json:
        entries = [
            {"cell": name, "state": state, "seconds": expected, "settings": setting}
            for (name, state, expected), setting in zip(rows, settings, strict=True)
        ]
        echo(json.dumps({"cells": entries, "seconds": total / workers}))
        return

    from accord.cli.results import new_table, print_table

    table = new_table("cell", "state", "expected")
    for name, state, expected in rows:
        table.add_row(name, state, duration(expected) if expected else "–")
    print_table(table)
    left = sum(state != "done" for _, state, _ in rows)
    with_workers = f" with {workers} workers" if workers > 1 else ""
    echo(
        f"{count(len(rows), 'cell')}, {left} to run: about {duration(total / workers)}"
        f"{with_workers}, set-up left out; a cell that was stopped has less to do"
    )
