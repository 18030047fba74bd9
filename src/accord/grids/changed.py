"""Whether the files of cells that are yet to be run are those that finished cells were run on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from accord.bert.pretrained import resolve_encoder_folder
from accord.comparison.unchanged import Material, check_unchanged, material_of
from accord.config.sections import Config
from accord.data.datasets import read_data
from accord.errors import UsageError
from accord.grids.cells import Cell
from accord.report.record import read_run


def check_data(new: Sequence[Cell], done: Sequence[Path], cells: Path) -> None:
    """Check that cells that are yet to be run have the data of those that are done.

    Encoders are compared once all have been run, and so are the data of stages.

    Args:
        new: cells that were not begun.
        done: folders of finished runs.
        cells: the folder of all.

    Raises:
        RunFolderError: naming the file that was changed, and two runs.
    """
    if new and done:
        check_unchanged([*_finished(done), *_given(new, cells)])


def _finished(done: Sequence[Path]) -> Iterator[Material]:
    for folder in done:
        try:
            yield material_of(read_run(folder))
        except UsageError:
            continue  # it can't be compared, and whoever compares it will say so


def _given(new: Sequence[Cell], cells: Path) -> Iterator[Material]:
    """Yield what cells are to be made from; those of the same files are read once."""
    read = set()
    for cell in new:
        key = _files(cell.config)
        if key in read or cell.config.stages:
            continue
        read.add(key)
        own = cell.config.encoder
        try:
            folder = resolve_encoder_folder(own.path, own.revision)
            data = read_data(cell.config, folder, lambda text: None)
        except UsageError:
            continue  # the cell's run will say so, and stop no other
        yield Material(str(cells / cell.name), cell.config, data.contents())


def _files(config: Config) -> str:
    """Return what the content of a run's data goes by."""
    table = config.model_dump(mode="json")
    keys = [table[key] for key in ("tasks", "texts", "encoder", "memory")]
    return json.dumps([keys, config.training.dev_share])
