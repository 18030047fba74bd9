"""The models of several finished runs, as they are to become one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from accord.durable import replace_folder
from accord.errors import RunFolderError, UsageError
from accord.model.saved import find_model_folder
from accord.runs.folder import STATUS, RunFolder


def finished_models(sources: Sequence[Path]) -> list[Path]:
    """Return the model folders of several runs.

    Args:
        sources: run folders, or model folders.

    Raises:
        UsageError: if there are fewer than two, or one is named twice.
        RunFolderError: if a run is not done.
        ModelError: if one holds no model.
    """
    if len(sources) < 2:
        raise UsageError(f"takes two or more runs, got {len(sources)}")
    folders: list[Path] = []
    for source in sources:
        check_done(source)
        folder = find_model_folder(source)
        if folder.resolve() in [other.resolve() for other in folders]:
            raise UsageError(f"{source}: is named twice")
        folders.append(folder)
    return folders


def check_new(out: Path) -> None:
    """Check that a folder is not there yet and can be made.

    Raises:
        UsageError: if not.
    """
    if out.exists() or out.is_symlink():
        raise UsageError(f"{out}: already exists")
    parent = nearest_parent(out)
    if not parent.is_dir():
        raise UsageError(f"{out}: can't be made: {parent} is not a folder")


def nearest_parent(path: Path) -> Path:
    """Return the nearest folder above a path that is there."""
    return next(folder for folder in path.absolute().parents if folder.exists())


def write_new(out: Path, write: Callable[[Path], None]) -> None:
    """Write a folder whole or not at all.

    Args:
        out: the folder.
        write: fills the folder that it is given.

    Raises:
        UsageError: if it can't be written.
    """
    try:
        replace_folder(out, write)
    except OSError as error:
        raise UsageError(f"{out}: can't be written: {error.strerror}") from None


def check_done(source: Path) -> None:
    """Check that a run, if it is one, is done.

    Raises:
        RunFolderError: if not.
    """
    if not (source / STATUS).exists():
        return
    state = RunFolder(source).state()
    if state != "done":
        raise RunFolderError(f"{source}: the run is {state}, not done; 'accord resume {source}'")
