"""The best epoch's model: kept apart until a checkpoint knows of it, then shown in the run folder.

An epoch that is the best so far is written to `best/step-N`, model and dev predictions in one
folder with a manifest. The checkpoint that follows names it by the manifest's hash; only then do
`model/` and `predictions/` become it. So a run resumes with what its checkpoint means,
whenever it was killed, and whatever a later attempt had left.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from accord.durable import MANIFEST, identity, link, reach, replace_folder, replacement
from accord.errors import RunFolderError
from accord.runs.folder import RunFolder
from accord.training.checkpoint import RunState, checkpoints, read_run_state

PREDICTIONS = ".csv"


def stage_best(run: RunFolder, progress: RunState, write: Callable[[Path], None]) -> None:
    """Write the best epoch's folder; the next checkpoint names it.

    Args:
        run: its folder.
        progress: at the end of the epoch; learns of it.
        write: writes the model and the dev predictions to the folder that it is given.
    """
    folder = run.best / f"step-{progress.step}"
    run.best.mkdir(exist_ok=True)
    replace_folder(folder, write, manifest=True)
    progress.best_step, progress.best_sha256 = progress.step, identity(folder)


def best_fault(run: RunFolder, progress: RunState) -> str | None:
    """Return what is wrong with the best epoch's folder that a checkpoint names, or None."""
    if progress.best_step is None:
        return None
    return replacement(run.best / f"step-{progress.best_step}", progress.best_sha256)


def publish_best(run: RunFolder, progress: RunState) -> None:
    """Let `model/` and the dev predictions be the best epoch's, once a checkpoint names it."""
    if progress.best_step is None:
        return
    publish(run, run.best / f"step-{progress.best_step}")
    _prune(run, progress)


def publish(run: RunFolder, folder: Path) -> None:
    """Let `model/` and the dev predictions be what a folder holds.

    Files are linked where the file system can, so that nothing is held twice.
    """
    files = [file for file in sorted(folder.iterdir()) if file.name != MANIFEST]

    def fill(aside: Path) -> None:
        for file in files:
            if file.suffix != PREDICTIONS:
                link(file, aside / file.name)

    replace_folder(run.model, fill)
    for file in files:
        if file.suffix == PREDICTIONS:
            aside = run.predictions / f".{file.name}.aside"
            aside.unlink(missing_ok=True)
            link(file, aside)
            reach("rename", run.predictions / file.name)
            aside.replace(run.predictions / file.name)


def _prune(run: RunFolder, progress: RunState) -> None:
    """Keep the folders that a checkpoint, or the run itself, names."""
    named = {progress.best_step, *_named(checkpoints(run.checkpoints))}
    for folder in run.best.iterdir():
        step = folder.name.removeprefix("step-")
        if not step.isdigit() or int(step) not in named:
            shutil.rmtree(folder, ignore_errors=True)


def _named(saved: Iterable[Path]) -> Iterable[int | None]:
    for checkpoint in saved:
        try:
            yield read_run_state(checkpoint).best_step
        except RunFolderError:  # damaged: it is never resumed from
            continue
