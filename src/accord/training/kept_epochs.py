"""What is kept of each epoch until the run ends: its dev scores and, for a soup, its weights.

They go into `kept/step-N`, a folder with a manifest, before the checkpoint that names it by the
manifest's hash. So a run resumes from a checkpoint only if all that it counts on is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import Parameter

from accord.durable import identity, load_tensors, replace_folder, replacement, write_tensors
from accord.errors import RunFolderError
from accord.evaluation.scores import SCORES
from accord.runs.folder import RunFolder
from accord.training.checkpoint import RunState

WEIGHTS = "weights.safetensors"
Named = list[tuple[str, Parameter]]


def keep_epoch(
    run: RunFolder, progress: RunState, scores: Mapping[str, Tensor], named: Named | None = None
) -> None:
    """Write what is kept of an epoch; the next checkpoint names it.

    Args:
        run: its folder.
        progress: after the epoch's evaluation; learns of it.
        scores: each task's logits of its dev rows, float32 [rows, ...].
        named: the parameters that are trained, where a soup may be made of them.
    """

    def write(aside: Path) -> None:
        write_tensors(aside / SCORES, {name: score.contiguous() for name, score in scores.items()})
        if named is not None:
            weights = {name: tensor.detach().cpu().contiguous() for name, tensor in named}
            write_tensors(aside / WEIGHTS, weights)

    run.kept.mkdir(exist_ok=True)
    folder = _folder(run, progress, len(progress.kept))
    replace_folder(folder, write, manifest=True)
    progress.kept.append(identity(folder))


def kept_fault(run: RunFolder, progress: RunState) -> str | None:
    """Return what is wrong with the kept epochs that a checkpoint names, or None."""
    faults = (
        replacement(_folder(run, progress, i), sha256) for i, sha256 in enumerate(progress.kept)
    )
    return next((fault for fault in faults if fault), None)


def check_weights(run: RunFolder, progress: RunState, checkpoint: Path) -> None:
    """Check that the weights of all epochs so far were kept: a soup is of a whole run.

    Raises:
        RunFolderError: if it was no soup when it began.
    """
    epochs = range(len(progress.evaluations))
    if not all((_folder(run, progress, i) / WEIGHTS).is_file() for i in epochs):
        raise RunFolderError(
            f"{checkpoint}: kept no weights of its epochs, only their scores;"
            " averaging.method = 'soup' takes a run of its own"
        )


def kept_weights(
    run: RunFolder, progress: RunState, epoch: int, named: Named
) -> list[torch.Tensor]:
    """Load an epoch's weights.

    Args:
        run: its folder.
        progress: of the run.
        epoch: index among the evaluations.
        named: the parameters whose values they are.
    """
    tensors = load_tensors(_folder(run, progress, epoch) / WEIGHTS)
    return [tensors[name].to(parameter.device) for name, parameter in named]


def kept_scores(run: RunFolder, progress: RunState) -> dict[str, Tensor]:
    """Load every epoch's scores: for each task float32 [epochs, rows, ...]."""
    scores: dict[str, Tensor] = {}
    for epoch in range(len(progress.kept)):  # one in memory beside what is returned
        for name, tensor in load_tensors(_folder(run, progress, epoch) / SCORES).items():
            if epoch == 0:
                scores[name] = tensor.new_empty(len(progress.kept), *tensor.shape)
            scores[name][epoch] = tensor
    return scores


def _folder(run: RunFolder, progress: RunState, epoch: int) -> Path:
    return run.kept / f"step-{progress.evaluations[epoch]['step']}"
