"""A single model that is to be exported, and those of its tasks that are asked for."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accord.errors import ModelError, check_known
from accord.model.multitask import MultitaskModel
from accord.model.saved import InputFormat, find_model_folder, load_model
from accord.model.saved_ensemble import is_ensemble
from accord.untrusted import read_json


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
        check_known(self.folder, names, known)
        return [number for number, name in enumerate(known) if name in names or not names]


def single_folder(source: Path) -> Path:
    """Return the model folder that a path names.

    Raises:
        ModelError: if there is none, or it is an ensemble's.
    """
    folder = find_model_folder(source)
    if is_ensemble(folder):
        raise ModelError(
            f"{folder}: is an ensemble; a single model is needed here: each folder in its 'members'"
            " is one, and 'accord soup' makes one of several runs"
        )
    return folder


def open_single(source: Path) -> Single:
    """Load the model of a run folder, or of its model/.

    Raises:
        ModelError, EncoderError: if it can't be loaded, or is an ensemble.
    """
    folder = single_folder(source)
    model, inputs, max_length = load_model(folder)
    model.eval().requires_grad_(False)
    return Single(folder, model, inputs, max_length)


def single_task(single: Single, number: int) -> MultitaskModel:
    """Return the model of one task, in which the encoder is a plain one: the task's parts are
    merged.

    Raises:
        ModelError: if no plain encoder says the same.
    """
    model, task = single.model, single.model.tasks[number]
    encoder = copy.deepcopy(model.encoder)
    if model.parts is not None:
        try:
            model.parts.merge(number, encoder)
        except ValueError as error:
            cure = "--to onnx writes them too"
            raise ModelError(f"{single.folder}: {task.name}: {error}; {cure}") from None
    alone = MultitaskModel(encoder, [task])
    alone.head(task.name).load_state_dict(model.head(task.name).state_dict())
    return alone


def write_json(file: Path, value: Any) -> None:
    """Write a JSON file, in a folder that is made where it is missing."""
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def update_json(file: Path, changes: dict[str, Any]) -> None:
    """Change some entries of a JSON file; there need be none.

    Raises:
        ModelError: if it holds no JSON object.
    """
    try:
        table = {**(read_json(file) if file.exists() else {}), **changes}
    except (ValueError, TypeError) as error:
        raise ModelError(f"{file.name} of the model: can't be read: {error}") from None
    write_json(file, dict(sorted(table.items())))
