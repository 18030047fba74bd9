"""A single model that is to be exported, and those of its tasks that are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from accord.errors import ModelError, UsageError, nearest
from accord.model.multitask import MultitaskModel
from accord.model.saved import InputFormat, find_model_folder, load_model
from accord.model.saved_ensemble import is_ensemble


@dataclass(frozen=True)
class Single:
    """A loaded model.

    Attributes:
        folder: of the model.
        model: encoder, parts and heads, in evaluation mode.
        inputs: how each task's files name their columns.
        max_length: tokens that a sequence may have.
    """

    folder: Path
    model: MultitaskModel
    inputs: dict[str, InputFormat]
    max_length: int

    def numbers(self, names: Sequence[str]) -> list[int]:
        """Return the numbers of some tasks, each once, in the model's order; of all for no name.

        Raises:
            UsageError: if there is none of a name.
        """
        known = [task.name for task in self.model.tasks]
        for name in names:
            if name not in known:
                raise UsageError(f"{self.folder}: no task '{name}'{nearest(name, known)}")
        return [number for number, name in enumerate(known) if name in names or not names]


def open_single(source: Path) -> Single:
    """Load the model of a run folder, or of its model/.

    Raises:
        ModelError, EncoderError: if it can't be loaded, or is an ensemble.
    """
    folder = find_model_folder(source)
    if is_ensemble(folder):
        raise ModelError(
            f"{folder}: is an ensemble; a single model is needed here: each folder in its 'members'"
            " is one, and 'accord soup' makes one of several runs"
        )
    model, inputs, max_length = load_model(folder)
    model.eval().requires_grad_(False)
    return Single(folder, model, inputs, max_length)
