"""`accord grid`: many runs that vary one config."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from accord.cli.options import (
    PATH,
    against_option,
    as_json_option,
    cells_options,
    formats_option,
    margin_option,
    overrides_option,
)
from accord.terminal import echo

if TYPE_CHECKING:
    from accord.grids.cell_run import CellResult
    from accord.grids.cells import Cell


@click.command()
@click.argument("grid", type=PATH)
@click.option("--out", required=True, type=PATH, help="The grid's folder.")
@cells_options
@against_option
@margin_option
@click.option("--report-only", is_flag=True, help="Run nothing; only report on what is done.")
@formats_option
@overrides_option
@as_json_option
def grid(
    grid: Path,
    out: Path,
    workers: int,
    threads: int | None,
    force: bool,
    against: str | None,
    margin: float | None,
    report_only: bool,
    dry_run: bool,
    formats: tuple[str, ...],
    overrides: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Run every cell of the file GRID that is not done yet.

    The file names a config and what varies over it: docs/experiments.md has an example. Each
    cell is a run folder below --out/cells; the same command goes on after a stop. A report of
    all groups of runs is left in --out.
    """
    from accord.cli.comparisons import compared, comparison_json, print_comparison
    from accord.cli.experiments import experiment_json, planned_sections
    from accord.errors import UsageError
    from accord.experiments.spec import read_experiment
    from accord.grids.file import read_grid
    from accord.grids.report import grid_report
    from accord.grids.running import check_cells, grid_groups, notes, run_grid, write_index
    from accord.runs.progress import Console

    if as_json and formats:
        raise UsageError("--formats is for the report, which is not written with --json")
    read = read_grid(grid, overrides)
    cells = read.cells
    experiment = None if read.report is None else read_experiment(read, grid.parent)
    margin = margin or cells[0].config.comparison.margin  # not the one that runs were begun with
    if dry_run:
        from accord.cli.plans import show_plan

        show_plan(cells, out, workers, as_json)
        return

    if against is not None:
        _check_group(against, cells)
    results: list[CellResult] = []
    if report_only:
        check_cells(cells, out)
        write_index(cells, out)
    else:
        results = run_grid(
            cells, out, workers=workers, threads=threads, console=Console(quiet), force=force
        )
    comparison, known = compared(grid_groups(out), margin, against), notes(out)
    if as_json:
        cells_json = [asdict(result) for result in results]
        report = None if experiment is None else experiment_json(experiment, out)
        shown = {"cells": cells_json, **comparison_json(comparison, known), "report": report}
        echo(json.dumps(shown))
    elif comparison.groups:
        print_comparison(comparison, known)
        more = [] if experiment is None else planned_sections(experiment, out)
        grid_report(out, comparison, f"The grid {grid.name}", known, formats, more)
        echo(f"report: {out / 'report.html'}")
    else:
        echo("no run is done yet")
    end_with(results)


def _check_group(name: str, cells: Sequence[Cell]) -> None:
    """Refuse a name that no group will have, before anything runs."""
    from accord.errors import UsageError, nearest

    names = list(dict.fromkeys(cell.group for cell in cells))
    if name not in names and sum(name in other for other in names) != 1:
        what = "several groups" if any(name in other for other in names) else "no group"
        raise UsageError(f"--against '{name}': {what}{nearest(name, names)}")


def end_with(results: Sequence[CellResult]) -> None:
    """Say which cells failed, and exit with 1 if any did."""
    from accord.errors import TrainingError

    failed = [result for result in results if result.state in ("failed", "busy")]
    if failed:
        lines = [f"{cell.name}: {cell.error}" for cell in failed]
        raise TrainingError(f"{len(failed)} of {len(results)} cells failed:", *lines)
