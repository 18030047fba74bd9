"""Checkpoints: all that a run needs to go on as if it had never stopped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch.nn import Parameter

from accord.durable import damage, load_tensors, replace_folder, write_tensors
from accord.errors import RunFolderError
from accord.optim.averaging import Averages
from accord.optim.state import load_state_tensors, state_tensors
from accord.training.step import Learner
from accord.untrusted import read_json

FORMAT = 5
"""Goes up when a checkpoint's files or their meaning change: others are refused."""

FILES = (
    "parameters.safetensors",  # encoder and heads; without an encoder that is frozen
    "optimizer.safetensors",  # both moments and the count of updates, by parameter
    "method.safetensors",  # what methods, heads, regularisers and averages carry
    "progress.json",  # all of `RunState`
)
"""What a checkpoint holds, beside the manifest of these files.

Not among them, as they are functions of (seed, step): the rows that each step draws, dropout's
masks, a method's own draws, the learning rate. No random generator has a state to save.
"""

_SCALES, _AVERAGE, _REGULARISER = "scale.", "average.", "regulariser."


@dataclass
class RunState:
    """Where a run stands.

    Attributes:
        step: steps taken; with the run's seed it stands for every random draw.
        evaluations: one record per epoch that was evaluated: epoch, step, metrics, score.
        best: index of the best of them; None before the first.
        best_step: at whose end the best model was written; None before the first.
        best_sha256: of the manifest of its folder (`accord.training.best`).
        kept: of each epoch, the SHA-256 of the manifest of the folder with its scores of the dev
            rows, and for a soup its weights (`accord.training.kept_epochs`).
        skipped: steps left out because of a value that was not finite.
        train_seconds: spent in steps so far, over all sittings.
        fingerprint: of the config and the data files' content.
        threads: CPU threads; another number changes the last bits of sums.
        versions: of the packages whose arithmetic a step is made of.
        card: a GPU's name and the version of CUDA, as another one's sums differ; empty on a CPU.
        pass_tokens: most tokens of a pass; None: all of a step's.
        static: whether steps were packed in static shapes, which draw other dropout masks.
        repeatable: whether the same run on this machine would give the same bits, so far.
        format: of the checkpoint.
    """

    step: int = 0
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    best: int | None = None
    best_step: int | None = None
    best_sha256: str | None = None
    kept: list[str] = field(default_factory=list)
    skipped: int = 0
    train_seconds: float = 0.0
    fingerprint: str = ""
    threads: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    card: dict[str, str] = field(default_factory=dict)
    pass_tokens: int | None = None
    static: bool = False
    repeatable: bool = True
    format: int = FORMAT


def save_checkpoint(folder: Path, learner: Learner, progress: RunState, keep: int) -> None:
    """Write `step-N`, complete or not at all, and drop all but the newest `keep`.

    Args:
        folder: of the run's checkpoints.
        learner: its model, optimizer and method state are saved.
        progress: saved as JSON.
        keep: how many of the newest stay.
    """

    def write(aside: Path) -> None:
        optimizer = state_tensors(learner.optimizer, _names(learner))
        tables = (
            _parameters(learner),
            {name: value.contiguous() for name, value in optimizer.items()},
            _carried(learner),
        )
        for name, table in zip(FILES, tables, strict=False):
            write_tensors(aside / name, table)
        (aside / FILES[-1]).write_text(json.dumps(asdict(progress), indent=2) + "\n")

    replace_folder(folder / f"step-{progress.step}", write, manifest=True)
    drop_old(folder, keep)


def drop_old(folder: Path, keep: int) -> None:
    """Remove all checkpoints but the newest `keep`; a run that goes on does so first, too.

    One that was killed between a checkpoint and this may take no further step.
    """
    for old in checkpoints(folder)[keep:]:
        shutil.rmtree(old)


def checkpoints(folder: Path) -> list[Path]:
    """Return the folders that are or were checkpoints, newest first."""
    folders = [
        path for path in folder.glob("step-*")
        if path.name.removeprefix("step-").isdigit() and path.is_dir()
    ]  # fmt: skip
    return sorted(folders, key=lambda path: -int(path.name.removeprefix("step-")))


def newest_sound(
    folder: Path,
    warn: Callable[[str], None],
    fault_of: Callable[[Path], str | None] = lambda checkpoint: None,
) -> Path | None:
    """Return the newest checkpoint whose files are as they were written.

    Those that are not are set aside: they count among the kept ones no more.

    Args:
        folder: of the run's checkpoints.
        warn: is told of each that is not.
        fault_of: says what is wrong with what a checkpoint relies on beside its own files.

    Raises:
        RunFolderError: if one can't be read for a reason other than its content.
    """
    for checkpoint in checkpoints(folder):
        try:
            fault = damage(checkpoint, FILES)
            if fault is None:
                fault = fault_of(checkpoint)
        except OSError as error:
            raise RunFolderError(f"{error.filename}: can't be read: {error.strerror}") from None
        if fault is None:
            return checkpoint
        warn(f"warning: {checkpoint} is damaged and left out: {fault}")
        aside = checkpoint.with_name(f"damaged-{checkpoint.name}")
        shutil.rmtree(aside, ignore_errors=True)
        checkpoint.rename(aside)
    return None


def read_run_state(checkpoint: Path) -> RunState:
    """Read where a checkpoint's run stood.

    Raises:
        RunFolderError: if it can't be read, or is of another format.
    """
    try:
        table = read_json(checkpoint / FILES[-1])
        if table.get("format") != FORMAT:
            raise RunFolderError(
                f"{checkpoint}: is of format {table.get('format')}; this version of Accord reads"
                f" format {FORMAT}"
            )
        return RunState(**table)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise RunFolderError(f"{checkpoint}: can't be read: {error}") from None


def load_checkpoint(checkpoint: Path, learner: Learner) -> None:
    """Restore the model, the optimizer and the method's state.

    Raises:
        RunFolderError: if a file can't be read or doesn't fit the model.
    """
    try:
        values, state, method = (load_tensors(checkpoint / name) for name in FILES[:3])
    except (OSError, SafetensorError) as error:
        raise RunFolderError(f"{checkpoint}: can't be read: {error}") from None
    parameters = _parameters(learner)
    if parameters.keys() != values.keys() or any(
        parameter.shape != values[n].shape for n, parameter in parameters.items()
    ):
        raise RunFolderError(f"{checkpoint}: holds another model than the run's config makes")
    with torch.no_grad():
        for name, value in parameters.items():
            value.copy_(values[name])
    load_state_tensors(learner.optimizer, _names(learner), state)
    try:
        others = (_SCALES, _AVERAGE, _REGULARISER)
        learner.combination.load(
            {n: value for n, value in method.items() if not n.startswith(others)}
        )
        for prefix, averages in _averages(learner).items():
            saved = {n.removeprefix(prefix): v for n, v in method.items() if n.startswith(prefix)}
            averages.load(saved)
        for name, buffer in _scales(learner).items():
            buffer.copy_(method[name])
    except (ValueError, KeyError) as error:
        raise RunFolderError(f"{checkpoint}: is of other methods than the run's: {error}") from None


def _carried(learner: Learner) -> dict[str, torch.Tensor]:
    """Return what methods carry from step to step, the heads' scales, and averages of weights."""
    averages = {
        f"{prefix}{name}": value
        for prefix, average in _averages(learner).items()
        for name, value in average.tensors().items()
    }
    return {**learner.combination.tensors(), **_scales(learner), **averages}


def _averages(learner: Learner) -> dict[str, Averages]:
    """Return all averages of the weights, by the prefix of their names."""
    terms = learner.objective.regularisation
    by_prefix = {
        _AVERAGE: learner.averages,
        _REGULARISER: None if terms is None else terms.averages,
    }
    return {prefix: averages for prefix, averages in by_prefix.items() if averages is not None}


def _scales(learner: Learner) -> dict[str, torch.Tensor]:
    return {
        f"{_SCALES}{task}.{name}": buffer
        for task, head in learner.model.heads.items()
        for name, buffer in head.named_buffers()
    }


def _parameters(learner: Learner) -> dict[str, torch.Tensor]:
    """Return what is trained: a frozen encoder is loaded anew, and its weights are compared."""
    return {
        name: value.detach()
        for name, value in learner.model.named_parameters() if value.requires_grad
    }  # fmt: skip


def _names(learner: Learner) -> dict[Parameter, str]:
    return {parameter: name for name, parameter in learner.model.named_parameters()}
