"""A grid's cells one after the other, or in several processes at once."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accord.comparison.group import Group
from accord.comparison.unchanged import check_unchanged, material_of
from accord.durable import read_json, write_whole
from accord.errors import RunFolderError, Stopped
from accord.grids.cell_run import CellResult, check_same
from accord.grids.cells import Cell
from accord.grids.changed import check_data
from accord.grids.workers import Pool, ThisProcess, processes
from accord.report.record import RunRecord, read_run
from accord.runs.estimate import duration
from accord.runs.folder import STATUS, RunFolder
from accord.runs.progress import Console

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
) -> list[CellResult]:
    """Run all cells that are not done, each in `out/cells/NAME`.

    Args:
        cells: of the grid.
        out: the grid's folder; what is done in it is not run again, what was stopped goes on.
        workers: processes that run cells at once; with 1 they run in this process.
        threads: of each process; default: this machine's processors over the workers.
        console: told of progress.

    Returns:
        A result a cell, in their order. Failed ones are among them, and stop no other.

    Raises:
        RunFolderError: if `out` can't be written, or holds something else or runs of another
            config or other data; none was begun.
        Stopped: a signal came: what was running has saved, and the same call goes on.
    """
    console = console or Console(quiet=True)
    check_cells(cells, out)
    before = [(own.cell, own.state) for own in states(cells, out)]
    check_data(
        [cell for cell, state in before if state == "new"],
        [out / CELLS / cell.name for cell, state in before if state == "done"],
        out / CELLS,
    )
    write_index(cells, out)
    tasks = [
        {
            "folder": str(out / CELLS / cell.name),
            "config": cell.config.model_dump(mode="json", exclude_none=True, exclude_unset=True),
            "quiet": console.quiet or workers > 1,
        }
        for cell in cells
    ]
    results: dict[str, CellResult] = {}
    progress = _Progress(len(cells), workers, console)
    with processes(workers, threads) as pool:
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
    entries = [
        {"name": cell.name, "group": cell.group, "settings": cell.settings} for cell in cells
    ]
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / INDEX, json.dumps({"cells": entries}, indent=2) + "\n")
    except OSError as error:
        raise RunFolderError(f"{out}: can't be written: {error.strerror}") from None


def grid_groups(out: Path) -> list[Group]:
    """Return the finished cells of a grid's folder, those that differ in their seed alone together.

    Raises:
        RunFolderError: if there is no grid, or a file was changed between its runs.
    """
    found: dict[str, list[RunRecord]] = {}
    for entry in _entries(out):
        if _is_done(out, entry):
            folder = out / CELLS / entry["name"]
            found.setdefault(entry["group"], []).append(read_run(folder, entry["name"]))
    check_unchanged(material_of(run) for runs in found.values() for run in runs)
    return [Group(name, sorted(runs, key=lambda run: run.seed)) for name, runs in found.items()]


def unfinished(out: Path) -> str:
    """Name the cells of a grid's folder that are not done, in a line; empty if all are.

    Raises:
        RunFolderError: if there is no grid.
    """
    entries = _entries(out)
    left = [entry["name"] for entry in entries if not _is_done(out, entry)]
    return f"Not done: {len(left)} of {len(entries)} cells: {'; '.join(left)}." if left else ""


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

    def __init__(self, total: int, workers: int, console: Console) -> None:
        self.total, self.workers, self.console = total, workers, console
        self.count, self.ran, self.started = 0, 0, time.monotonic()

    def begin(self, name: str) -> None:
        if self.workers == 1:
            self.console.say(f"== {self.count + 1}/{self.total} {name}")

    def say(self, result: CellResult) -> None:
        self.count += 1
        self.ran += result.state != "found"
        line = f"[{self.count}/{self.total}] {result.name}: {result.state}"
        if result.metrics and result.state == "done":
            shown = " ".join(f"{task} {value:.3f}" for task, value in result.metrics.items())
            line += f" in {duration(result.seconds)}, {shown}"
        elif result.error:
            line += f": {result.error}"
        if self.ran and self.count < self.total:
            left = (time.monotonic() - self.started) / self.ran * (self.total - self.count)
            line += f"; about {duration(left)} left if the others take as long"
        self.console.say(line)
