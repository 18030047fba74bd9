"""A grid's cells one after the other, or in several processes at once."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from accord.comparison.group import Group
from accord.comparison.unchanged import check_unchanged, material_of
from accord.durable import sweep, write_atomic
from accord.errors import RunFolderError, Stopped
from accord.grids.cell_run import CellResult, check_same
from accord.grids.cells import Cell
from accord.grids.changed import Sameness
from accord.grids.workers import Pool, ThisProcess, processes
from accord.report.record import RunRecord, read_run
from accord.runs.estimate import duration
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
    found = []
    for cell in cells:
        folder = out / CELLS / cell.name
        there = (folder / STATUS).exists()
        found.append(CellState(cell, RunFolder(folder).state() if there else "new"))
    return found


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
        workers: processes that run cells at once; with 1 they run in this process.
        threads: of each process; default: this machine's processors over the workers.
        console: told of progress.
        force: go on though data or encoders were changed between runs; `grid.json` records it.

    Returns:
        One result per cell, in their order. Failed ones are among them, and stop no other.

    Raises:
        RunFolderError: if `out` can't be written, or holds something else or runs of another
            config or other data; none was begun.
        BusyError: another process is at this grid.
        Stopped: a signal came: what was running has saved, and the same call goes on.
    """
    console = console or Console(quiet=True)
    check_cells(cells, out)
    with _held(out):
        agreed = forced(out)
        _write_index(cells, out, agreed)
        sameness = Sameness(agreed, partial(_write_index, cells, out), force, console.say)
        folders = [out / CELLS / cell.name for cell in cells]
        sameness.check(folders, [own.cell.config for own in states(cells, out)
                                 if own.state != "done"])  # fmt: skip
        try:
            return _run_all(cells, out, processes(workers, threads), console, force)
        finally:
            if force:  # what went on by force is known by what it was before, too
                sameness.check(folders)


@contextlib.contextmanager
def _held(out: Path) -> Iterator[None]:
    """Be the one process that trains a grid's cells, in its folder, which is made.

    Raises:
        RunFolderError: if nothing can be written there.
        BusyError: if another process is at it.
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
    cells: Sequence[Cell], out: Path, pool: Pool | ThisProcess, console: Console, force: bool
) -> list[CellResult]:
    """Run what is not done; arguments and errors as `run_grid`."""
    quiet = console.quiet or isinstance(pool, Pool)
    tasks = [
        {
            "folder": str(out / CELLS / cell.name),
            "config": cell.config.model_dump(mode="json", exclude_none=True, exclude_unset=True),
            "quiet": quiet,
            "force": force,
        }
        for cell in cells
    ]
    results: dict[str, CellResult] = {}
    progress = _Progress(len(cells), isinstance(pool, Pool), console)
    with pool:
        for result in _results(tasks, pool, progress):
            results[result.name] = result
            progress.say(result)
    stopped = [own for own in results.values() if own.state == "stopped"]
    if stopped or len(results) < len(cells):
        left = len(cells) - sum(own.state in ("found", "done") for own in results.values())
        raise Stopped(
            f"stopped with {left} of {len(cells)} cells to go; the same command goes on",
            128 + signal.SIGINT,
        )
    return [results[cell.name] for cell in cells]


def _results(
    tasks: Sequence[dict[str, Any]], pool: Pool | ThisProcess, progress: _Progress
) -> Iterator[CellResult]:
    """Yield cells' results as they come; after a signal only those of cells that were begun."""
    left, running = list(reversed(tasks)), 0
    while running or (left and not pool.stopped):
        while left and pool.has_room and not pool.stopped:
            progress.begin(Path(left[-1]["folder"]).name)
            pool.give(left.pop())
            running += 1
        for raw in pool.results():
            running -= 1
            yield CellResult(**raw)


def check_out(out: Path) -> None:
    """Check that a folder is a grid's, or free for one: a grid writes beside its cells.

    Raises:
        RunFolderError: if it holds something else.
        BusyError: if another process is writing there.
    """
    try:
        if not isinstance(read_json(out / INDEX)["cells"], list):
            RunFolder.check_free(out)
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        RunFolder.check_free(out)
    except OSError as error:
        raise RunFolderError(f"{out / INDEX}: can't be read: {error.strerror}") from None


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
    _write_index(cells, out, forced(out))


def _write_index(cells: Sequence[Cell], out: Path, agreed: Sequence[str]) -> None:
    entries = [
        {"name": cell.name, "group": cell.group, "settings": cell.settings} for cell in cells
    ]
    table = {"cells": entries, **({"forced": list(agreed)} if agreed else {})}
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_atomic(out / INDEX, json.dumps(table, indent=2) + "\n")
    except OSError as error:
        raise RunFolderError(f"{out}: can't be written: {error.strerror}") from None


def forced(out: Path) -> list[str]:
    """Return the changes of files between a grid's runs that it was forced to go on with."""
    try:
        return list(map(str, read_json(out / INDEX).get("forced", ())))
    except (OSError, ValueError, AttributeError, TypeError):
        return []


def grid_groups(out: Path) -> list[Group]:
    """Return the finished cells of a grid's folder, those that differ in their seed alone together.

    Raises:
        RunFolderError: if there is no grid, or a file was changed between its runs and nobody
            forced it to go on.
    """
    found: dict[str, list[RunRecord]] = {}
    for entry in _entries(out):
        if _is_done(out, entry):
            folder = out / CELLS / entry["name"]
            found.setdefault(entry["group"], []).append(read_run(folder, entry["name"]))
    check_unchanged((material_of(run) for runs in found.values() for run in runs), forced(out))
    return [Group(name, sorted(runs, key=lambda run: run.seed)) for name, runs in found.items()]


def notes(out: Path) -> list[str]:
    """Say what has to be known beside a grid's figures: cells that are not done, and files that
    were changed between its runs.

    Raises:
        RunFolderError: if there is no grid.
    """
    entries = _entries(out)
    left = [entry["name"] for entry in entries if not _is_done(out, entry)]
    missing = [f"Not done: {len(left)} of {len(entries)} cells: {'; '.join(left)}."] if left else []
    changed = forced(out)
    return missing + ([f"FORCED: changed between runs: {'; '.join(changed)}."] if changed else [])


def _entries(out: Path) -> list[dict[str, Any]]:
    try:
        return list(read_json(out / INDEX)["cells"])
    except (OSError, ValueError, KeyError, TypeError):
        raise RunFolderError(f"{out}: holds no grid") from None


def _is_done(out: Path, entry: Mapping[str, Any]) -> bool:
    folder = out / CELLS / entry["name"]
    return (folder / STATUS).exists() and RunFolder(folder).state() == "done"


class _Progress:
    """Says which cell is done, and how long the rest may take."""

    def __init__(self, total: int, several: bool, console: Console) -> None:
        self.total, self.several, self.console = total, several, console
        self.count, self.ran, self.started = 0, 0, time.monotonic()

    def begin(self, name: str) -> None:
        if not self.several:
            self.console.say(f"== {self.count + 1}/{self.total} {name}")

    def say(self, result: CellResult) -> None:
        self.count += 1
        self.ran += result.state != "found"
        line = f"[{self.count}/{self.total}] {result.name}: {result.state}"
        if result.metrics and result.state == "done":
            shown = " ".join(f"{task} {value:z.3f}" for task, value in result.metrics.items())
            line += f" in {duration(result.seconds)}, {shown}"
        elif result.error:
            line += f": {result.error}"
        if self.ran and self.count < self.total:
            left = (time.monotonic() - self.started) / self.ran * (self.total - self.count)
            line += f"; about {duration(left)} left if the others take as long"
        self.console.say(line)
