"""Each epoch's weights, kept in the run folder until a soup is made of them.

They go into `kept/step-N`, a folder with a manifest, before the checkpoint that names it by the
manifest's hash. So a run resumes from a checkpoint only if all that it counts on is there.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.nn import Parameter

from accord.durable import identity, replace_folder, replacement, write_tensors
from accord.errors import RunFolderError
from accord.runs.folder import RunFolder
from accord.training.checkpoint import Progress

WEIGHTS = "weights.safetensors"
Named = list[tuple[str, Parameter]]


def keep_epoch(run: RunFolder, progress: Progress, named: Named) -> None:
    """Write an epoch's weights; the next checkpoint names them.

    Args:
        run: its folder.
        progress: after the epoch's evaluation; learns of it.
        named: the parameters that are trained.
    """
    tensors = {name: parameter.detach().cpu().contiguous() for name, parameter in named}
    run.kept.mkdir(exist_ok=True)
    folder = _folder(run, progress, len(progress.kept))
    replace_folder(folder, lambda aside: write_tensors(aside / WEIGHTS, tensors), manifest=True)
    progress.kept.append(identity(folder))


def kept_fault(run: RunFolder, progress: Progress) -> str | None:
    """Return what is wrong with the epochs' weights that a checkpoint names, or None."""
    faults = (
        replacement(_folder(run, progress, i), sha256) for i, sha256 in enumerate(progress.kept)
    )
    return next((fault for fault in faults if fault), None)


def check_kept(progress: Progress, checkpoint: Path) -> None:
    """Check that the weights of all epochs so far were kept: a soup is of a whole run.

    Raises:
        RunFolderError: if it was no soup when it began.
    """
    if len(progress.kept) < len(progress.evaluations):
        raise RunFolderError(
            f"{checkpoint}: kept no weights of its epochs; averaging.method = 'soup' takes a run"
            " of its own"
        )


def kept_weights(
    run: RunFolder, progress: Progress, epoch: int, named: Named
) -> list[torch.Tensor]:
    """Load an epoch's weights.

    Args:
        run: its folder.
        progress: of the run.
        epoch: index among the evaluations.
        named: the parameters whose values they are.
    """
    tensors = load_file(_folder(run, progress, epoch) / WEIGHTS)
    return [tensors[name].to(parameter.device) for name, parameter in named]


def remove_kept(run: RunFolder) -> None:
    """Remove the weights of a run that is done."""
    shutil.rmtree(run.kept, ignore_errors=True)


def _folder(run: RunFolder, progress: Progress, epoch: int) -> Path:
    return run.kept / f"step-{progress.evaluations[epoch]['step']}"
