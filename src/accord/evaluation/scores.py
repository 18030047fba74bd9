"""A run's scores of every dev row in every epoch: `scores.safetensors` in its folder.

For each task:

- `epochs/TASK`: float32 [epochs, rows, outputs], the logits; a task without labels has losses
   there, one whose rows have several units [epochs, rows, most, outputs], with -inf behind a row's
- `chosen/TASK`: float32 [3, rows, ...], those of what was chosen on half 0, on half 1, and on all
  of dev, which is the saved model; moved by thresholds, if the task tunes any, which the same half
  chose, and for the saved model each row's other half
- `labels/TASK`: [rows, ...], int64 class indices or float64 values; zeros of a task without labels
- `halves/TASK`: int8 [rows], the half of dev that each row is in (`accord.data.halves`)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor

from accord.durable import load_tensors, write_tensors_atomic
from accord.errors import RunFolderError

SCORES = "scores.safetensors"


@dataclass(frozen=True)
class TaskScores:
    """The logits of each of a run's epochs on a task's dev rows.

    Attributes:
        epochs: float32 [epochs, rows, ...].
        chosen: float32 [3, rows, ...], of what was chosen on half 0, half 1 and all of dev.
        labels: [rows, ...], as the task's kind has them.
        halves: int8 [rows].
    """

    epochs: Tensor
    chosen: Tensor
    labels: Tensor
    halves: Tensor


def crossfitted(chosen_on_0: Tensor, chosen_on_1: Tensor, halves: Tensor | np.ndarray) -> Tensor:
    """Return each row's logits at the epoch chosen on the half that the row is not in.

    Args:
        chosen_on_0: logits [rows, ...] by what was chosen on half 0.
        chosen_on_1: likewise on half 1.
        halves: 0 or 1 [rows].

    Example:
        >>> one, other = torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [4.0]])
        >>> crossfitted(one, other, np.array([0, 1])).tolist()
        [[3.0], [2.0]]
    """
    first = torch.as_tensor(halves) == 0
    return torch.where(first.view(-1, *[1] * (chosen_on_0.ndim - 1)), chosen_on_1, chosen_on_0)


def write_scores(folder: Path, scores: Mapping[str, TaskScores]) -> None:
    """Write a run's scores, the whole file or none."""
    tensors = {
        f"{part.name}/{task}": getattr(score, part.name).contiguous()
        for task, score in scores.items()
        for part in fields(TaskScores)
    }
    write_tensors_atomic(folder / SCORES, tensors)


def read_scores(folder: Path) -> dict[str, TaskScores]:
    """Read a finished run's scores, by task.

    Raises:
        RunFolderError: if there are none that can be read.
    """
    file = folder / SCORES
    try:
        tensors = load_tensors(file)
        names = [name.removeprefix("halves/") for name in tensors if name.startswith("halves/")]
        return {
            task: TaskScores(**{part.name: tensors[f"{part.name}/{task}"]
                                for part in fields(TaskScores)})
            for task in names
        }  # fmt: skip
    except (OSError, SafetensorError, KeyError) as error:
        raise RunFolderError(f"{file}: can't be read: {error}") from None
