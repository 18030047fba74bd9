"""A grid's cells one after the other, or in several processes at once."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accord.comparison.group import Group
from accord.comparison.unchanged import check_unchanged, material_of
from accord.config.file import as_table
from accord.durable import sweep, write_atomic
from accord.errors import RunFolderError, Stopped
from accord.grids.cell_run import CellResult, check_same
from accord.grids.cells import Cell
from accord.grids.changed import Sameness, forced
from accord.grids.progress import Progress
from accord.grids.workers import Job, run_cells
from accord.report.record import RunRecord, read_run
from accord.runs.folder import STATUS, RunFolder
from accord.runs.lock import hold
from accord.runs.progress import Console
from accord.untrusted import read_json

CELLS = "cells"
INDEX = "grid.json"


@dataclass(frozen=True)
class CellState:
    """A cell and where its run stands: 'new', or the state of its run folder."""

    cell: Cell
    state: str


def states(cells: Sequence[Cell], out: Path) -> list[CellState]:
    """Look up where each cell stands.

    Raises:
        RunFolderError: if `out` holds something else.
    """
    check_out(out)
    return [CellState(cell, _state(out, cell.name)) for cell in cells]


def _state(out: Path, name: str) -> str:
    folder = out / CELLS / name
    return RunFolder(folder).state() if (folder / STATUS).exists() else "new"


def run_grid(
    cells: Sequence[Cell],
    out: Path,
    *,
    workers: int = 1,
    threads: int | None = None,
    console: Console | None = None,
    force: bool = False,
) -> list[CellResult]:
    """Run all cells that are not done, each in `out/cells/NAME`.

    Args:
        cells: of the grid.
        out: the grid's folder; what is done in it is not run again, what was stopped goes on.
        workers: cells that run at once, each in a process of its own; with 1 they run in this one.
        threads: of each process; default: the processors that this one may use, over the
            workers.
        console: told of progress.
        force: go on though data or encoders were changed between runs; `forced.json` records it.

    Returns:
        One result per cell, in their order. Failed ones are among them, and stop no other.

    Raises:
        RunFolderError: if `out` can't be written, or holds something else or runs of another
            config or other data; none was begun.
        BusyError: another process is using this grid.
        Stopped: a signal came: what was running has saved, and the same call goes on.
    """
    console = console or Console(quiet=True)
    check_cells(cells, out)
    with working_in(out):
        _write_index(cells, out)
        sameness = Sameness(out, force, console.say)
        folders = [out / CELLS / cell.name for cell in cells]
        sameness.check(folders, [stand.cell.config for stand in states(cells, out)
                                 if stand.state != "done"])  # fmt: skip
        try:
            return _run_all(cells, out, workers, threads, console, force)
        finally:
            if force:  # what went on by force is known by what it was before, too
                sameness.check(folders)


@contextlib.contextmanager
def working_in(out: Path) -> Iterator[None]:
    """Be the one process that trains the runs of a grid or a search, in its folder, which is made.

    Raises:
        RunFolderError: if nothing can be written there.
        BusyError: if another process is using it.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with hold(out):
            sweep(out)
            yield
    except OSError as error:
        place = error.filename or out
        raise RunFolderError(f"{place}: can't be written: {error.strerror}") from None


def _run_all(
    cells: Sequence[Cell],
    out: Path,
    workers: int,
    threads: int | None,
    console: Console,
    force: bool,
) -> list[CellResult]:
    """Run what is not done; arguments and errors as `run_grid`."""
    progress = Progress(len(cells), console)
    left = iter(cells)

    def draw() -> Job | None:
        cell = next(left, None)
        if cell is None:
            return None
        if workers == 1:
            progress.begin(cell.name)
        return Job({
            "folder": str(out / CELLS / cell.name), "config": as_table(cell.config),
            "quiet": console.quiet or workers > 1, "force": force,
        })  # fmt: skip

    results: dict[str, CellResult] = {}
    with contextlib.closing(run_cells(draw, workers, threads)) as ended:
        for _, result in ended:
            results[result.name] = result
            progress.end(result.line, ran=result.state not in ("found", "stopped"))
    if sum(result.state != "stopped" for result in results.values()) < len(cells):
        to_go = len(cells) - sum(result.metrics is not None for result in results.values())
        raise Stopped(
            f"stopped with {to_go} of {len(cells)} cells to go; the same command goes on",
            128 + signal.SIGINT,
        )
    return [results[cell.name] for cell in cells]


def check_out(out: Path) -> None:
    """Check that a folder is a grid's, or free for one: a grid writes beside its cells.

    Raises:
        RunFolderError: if it holds something else.
        BusyError: if another process is writing there.
    """
    if _index(out) is None:
        RunFolder.check_free(out)


def _index(out: Path) -> list[dict[str, Any]] | None:
    """Return what a grid's cells vary, as it was written; None where there is no grid."""
    try:
        cells = read_json(out / INDEX)["cells"]
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None
    except OSError as error:
        raise RunFolderError(f"{out / INDEX}: can't be read: {error.strerror}") from None
    return cells if isinstance(cells, list) else None


def _cells_of(out: Path) -> list[dict[str, Any]]:
    if (cells := _index(out)) is None:
        raise RunFolderError(f"{out}: holds no grid")
    return cells


def check_cells(cells: Sequence[Cell], out: Path) -> None:
    """Check that what a grid's folder holds of some cells are runs of their configs.

    Raises:
        RunFolderError: what differs, or if it holds something else.
    """
    check_out(out)
    for cell in cells:
        check_same(out / CELLS / cell.name, cell.config)


def write_index(cells: Sequence[Cell], out: Path) -> None:
    """Write what the grid's cells vary: reports read it.

    Raises:
        RunFolderError: if the folder holds something else, or can't be written.
    """
    check_out(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        _write_index(cells, out)
    except OSError as error:
        raise RunFolderError(f"{out}: can't be written: {error.strerror}") from None


def _write_index(cells: Sequence[Cell], out: Path) -> None:
    entries = [
        {"name": cell.name, "group": cell.group, "settings": cell.settings} for cell in cells
    ]
    write_atomic(out / INDEX, json.dumps({"cells": entries}, indent=2) + "\n")


def grid_groups(out: Path) -> list[Group]:
    """Return the finished cells of a grid's folder, those that differ in their seed alone together.

    Raises:
        RunFolderError: if there is no grid, or a file was changed between its runs and nobody
            forced it to go on.
    """
    by_group: dict[str, list[RunRecord]] = {}
    for cell in _cells_of(out):
        if _state(out, cell["name"]) == "done":
            run = read_run(out / CELLS / cell["name"], cell["name"])
            by_group.setdefault(cell["group"], []).append(run)
    check_unchanged((material_of(run) for runs in by_group.values() for run in runs), forced(out))
    return [Group(name, sorted(runs, key=lambda run: run.seed)) for name, runs in by_group.items()]


def notes(out: Path) -> list[str]:
    """Return the notes on a grid's figures: cells that are not done, and files that
    were changed between its runs.

    Raises:
        RunFolderError: if there is no grid.
    """
    names = [cell["name"] for cell in _cells_of(out)]
    left = [name for name in names if _state(out, name) != "done"]
    missing = [f"Not done: {len(left)} of {len(names)} cells: {'; '.join(left)}."] if left else []
    changed = forced(out)
    return missing + ([f"FORCED: changed between runs: {'; '.join(changed)}."] if changed else [])
