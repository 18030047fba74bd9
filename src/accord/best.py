"""The best epoch's model: kept apart until a checkpoint knows of it, then shown in the run folder.

An epoch that is the best so far is written to `best/step-N`, model and dev predictions in one
folder with a manifest. The checkpoint that follows names it by the manifest's hash; only then do
`model/` and `predictions/` become it. So a run resumes with what its checkpoint means,
whenever it was killed, and whatever a later attempt had left.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from accord.checkpoint import Progress, checkpoints, read_progress
from accord.durable import MANIFEST, damage, reach, read_json, replace_folder
from accord.errors import RunFolderError
from accord.run_folder import RunFolder

PREDICTIONS = ".csv"


def stage_best(run: RunFolder, progress: Progress, write: Callable[[Path], None]) -> None:
    """Write the best epoch's folder; the next checkpoint names it.

    Args:
        run: its folder.
        progress: at the end of the epoch; learns of it.
        write: writes the model and the dev predictions to the folder that it is given.
    """
    folder = run.best / f"step-{progress.step}"
    run.best.mkdir(exist_ok=True)
    replace_folder(folder, write, manifest=True)
    progress.best_step, progress.best_sha256 = progress.step, _identity(folder)


def best_fault(run: RunFolder, progress: Progress) -> str | None:
    """Return what is wrong with the best epoch's folder that a checkpoint names, or None."""
    if progress.best_step is None:
        return None
    folder = run.best / f"step-{progress.best_step}"
    try:
        names = list(read_json(folder / MANIFEST)["files"])
        fault = damage(folder, names)
        if fault is None and _identity(folder) != progress.best_sha256:
            fault = "it is another attempt's"
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        fault = f"{MANIFEST} can't be read"
    return None if fault is None else f"{folder}: {fault}"


def publish_best(run: RunFolder, progress: Progress) -> None:
    """Let `model/` and the dev predictions be the best epoch's, once a checkpoint names it.

    Files are linked where the file system can, so that nothing is held twice.
    """
    if progress.best_step is None:
        return
    folder = run.best / f"step-{progress.best_step}"
    files = [file for file in sorted(folder.iterdir()) if file.name != MANIFEST]

    def fill(aside: Path) -> None:
        for file in files:
            if file.suffix != PREDICTIONS:
                _link(file, aside / file.name)

    replace_folder(run.model, fill)
    for file in files:
        if file.suffix == PREDICTIONS:
            aside = run.predictions / f".{file.name}.aside"
            aside.unlink(missing_ok=True)
            _link(file, aside)
            reach("rename", run.predictions / file.name)
            aside.replace(run.predictions / file.name)
    _prune(run, progress)


def remove_best(run: RunFolder) -> None:
    """Remove the folders of a run that is done: `model/` holds what they held."""
    shutil.rmtree(run.best, ignore_errors=True)


def _prune(run: RunFolder, progress: Progress) -> None:
    """Keep the folders that a checkpoint, or the run itself, names."""
    named = {progress.best_step, *_named(checkpoints(run.checkpoints))}
    for folder in run.best.iterdir():
        step = folder.name.removeprefix("step-")
        if not step.isdigit() or int(step) not in named:
            shutil.rmtree(folder, ignore_errors=True)


def _named(saved: Iterable[Path]) -> Iterable[int | None]:
    for checkpoint in saved:
        try:
            yield read_progress(checkpoint).best_step
        except RunFolderError:  # damaged: it is never resumed from
            continue


def _identity(folder: Path) -> str:
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # not on every file system
        shutil.copyfile(source, target)
