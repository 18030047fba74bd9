"""Run the paper's experiments: one grid, whose cells several experiments share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from accord.config.file import parse_config, resolve_paths
from accord.data.datasets import read_data
from accord.durable import write_atomic
from accord.encoders.pretrained import resolve_encoder_folder
from accord.errors import RunFolderError
from accord.experiments.paper import TASKS
from accord.experiments.plan import Options, Size, base_config, plan
from accord.grids.cell_run import CellResult
from accord.grids.cells import Cell
from accord.grids.running import run_grid, write_index
from accord.plan.making import plan_run
from accord.runs.lock import busy, is_locked
from accord.runs.progress import Console
from accord.untrusted import read_json

INDEX = "experiments.json"


def planned(names: Sequence[str], options: Options, console: Console) -> dict[str, list[Cell]]:
    """Return each experiment's cells.

    Args:
        names: of the experiments.
        options: of the reproduction.
        console: told what reading the data found.

    Raises:
        UsageError: whatever is wrong with data, encoder or options.
    """
    return plan(names, options, data_sizes(options, console))


def data_sizes(options: Options, console: Console) -> dict[str, Size]:
    """Read the training data of the paper's three tasks, once, and return its sizes."""
    table = base_config(options, cfimdb=False)
    config = resolve_paths(parse_config(table, where="reproduce"), Path.cwd())
    own = plan_run(config, "reproduce").only
    folder = resolve_encoder_folder(own.encoder.path, own.encoder.revision)
    data = read_data(own.data, folder, console.say)
    sizes = {}
    for part in data.train:
        if part.task.name in TASKS:
            tokens = float(data.assembler.lengths(part).mean())
            sizes[part.task.name] = Size(rows=len(part), tokens=tokens)
    return sizes


def union(cells: Mapping[str, Sequence[Cell]]) -> list[Cell]:
    """Return all experiments' cells, each once, seed by seed."""
    every = {cell.identity: cell for own in cells.values() for cell in own}
    return sorted(every.values(), key=lambda cell: int(cell.settings["seed"]))


def reproduce(
    cells: Mapping[str, Sequence[Cell]],
    out: Path,
    *,
    workers: int = 1,
    threads: int | None = None,
    console: Console | None = None,
    force: bool = False,
) -> list[CellResult]:
    """Run what is not done of some experiments.

    Args:
        cells: of each experiment.
        out: the folder; what is done in it is not run again.
        workers: cells that run at once.
        threads: of each.
        console: told of progress.
        force: as `run_grid`.

    Returns:
        One result per cell.

    Raises:
        BusyError: another process is at these experiments.
        Stopped: a signal came; the same call goes on.
    """
    if is_locked(out):  # before their cells are noted beside its own
        raise busy(out)
    remember(cells, out)
    return run_grid(
        union(cells), out, workers=workers, threads=threads, console=console, force=force
    )


def remember(cells: Mapping[str, Sequence[Cell]], out: Path) -> None:
    """Note which cells each experiment has, beside what was noted by earlier calls.

    Raises:
        RunFolderError: if it holds something else, or can't be written.
    """
    write_index(union(cells), out)
    known = remembered(out)
    for name, own in cells.items():
        entries = {entry["name"]: entry for entry in known.get(name, [])}
        entries |= {
            cell.name: {"name": cell.name, "group": cell.group, "settings": cell.settings}
            for cell in own
        }
        known[name] = list(entries.values())
    try:
        write_atomic(out / INDEX, json.dumps(known, indent=1) + "\n")
    except OSError as error:
        raise RunFolderError(f"{out}: can't be written: {error.strerror}") from None


def remembered(out: Path) -> dict[str, list[dict]]:  # type: ignore[type-arg]
    """Return each experiment's cells as `remember` noted them; {} where nothing was."""
    try:
        found = read_json(out / INDEX)
        return dict(found)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{out / INDEX}: can't be read: {error}") from None
