"""Checkpoints: all that a run needs to go on as if it had never stopped."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch.nn import Parameter

from accord.errors import RunFolderError
from accord.optimizer_state import load_state_tensors, state_tensors
from accord.run_folder import replace_folder
from accord.step import Learner


@dataclass
class Progress:
    """Where a run stands. Every random draw is keyed by `step`: no generator needs saving.

    Attributes:
        step: steps taken.
        evaluations: one record an epoch that was evaluated: epoch, step, metrics, score.
        best: index of the best of them; None before the first.
        train_seconds: spent in steps so far, over all sittings.
        fingerprint: of the config and the data files' content.
        threads: CPU threads; another number changes the last bits of sums.
    """

    step: int = 0
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    best: int | None = None
    train_seconds: float = 0.0
    fingerprint: str = ""
    threads: int = 0


def save_checkpoint(folder: Path, learner: Learner, progress: Progress, keep: int) -> None:
    """Write `step-N`, complete or not at all, and drop all but the newest `keep`.

    Args:
        folder: of the run's checkpoints.
        learner: its model, optimizer and method state are saved.
        progress: saved as JSON.
        keep: how many of the newest stay.
    """

    def write(aside: Path) -> None:
        save_file(_parameters(learner), aside / "parameters.safetensors")
        save_file(
            {
                name: value.contiguous()
                for name, value in state_tensors(learner.optimizer, _names(learner)).items()
            },
            aside / "optimizer.safetensors",
        )
        save_file(learner.method_state, aside / "method.safetensors")
        (aside / "progress.json").write_text(json.dumps(asdict(progress), indent=2) + "\n")

    replace_folder(folder / f"step-{progress.step}", write)
    for old in complete_checkpoints(folder)[keep:]:
        shutil.rmtree(old)


def complete_checkpoints(folder: Path) -> list[Path]:
    """Return the complete checkpoints, newest first."""
    found = [
        path for path in folder.glob("step-*")
        if path.name.removeprefix("step-").isdigit() and (path / "progress.json").is_file()
    ]  # fmt: skip
    return sorted(found, key=lambda path: -int(path.name.removeprefix("step-")))


def read_progress(checkpoint: Path) -> Progress:
    """Read where a checkpoint's run stood.

    Raises:
        RunFolderError: if it can't be read.
    """
    try:
        return Progress(**json.loads((checkpoint / "progress.json").read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise RunFolderError(f"{checkpoint}: can't be read: {error}") from None


def load_checkpoint(checkpoint: Path, learner: Learner) -> None:
    """Restore the model, the optimizer and the method's state.

    Raises:
        RunFolderError: if a file can't be read or doesn't fit the model.
    """
    try:
        values = load_file(checkpoint / "parameters.safetensors")
        state = load_file(checkpoint / "optimizer.safetensors")
        method = load_file(checkpoint / "method.safetensors")
    except (OSError, SafetensorError) as error:
        raise RunFolderError(f"{checkpoint}: can't be read: {error}") from None
    own = _parameters(learner)
    if own.keys() != values.keys() or any(own[n].shape != values[n].shape for n in own):
        raise RunFolderError(f"{checkpoint}: holds another model than the run's config makes")
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(values[name])
    load_state_tensors(learner.optimizer, _names(learner), state)
    learner.method_state = method


def _parameters(learner: Learner) -> dict[str, torch.Tensor]:
    return {name: value.detach() for name, value in learner.model.named_parameters()}


def _names(learner: Learner) -> dict[Parameter, str]:
    return {parameter: name for name, parameter in learner.model.named_parameters()}
