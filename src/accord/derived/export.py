"""One task's model out of a shared one: a plain BERT with its head."""

from __future__ import annotations

import copy
from pathlib import Path

from accord.durable import replace_folder
from accord.errors import ModelError, UsageError, nearest
from accord.model.multitask import MultitaskModel
from accord.model.saved import find_model_folder, load_model, save_model


def export(source: Path, out: Path, task: str) -> None:
    """Write a model folder of one task, in which the encoder is a plain BERT.

    LoRA's updates are added to the weights, a task's own norms and layers take the shared ones'
    place. The folder opens with `transformers.AutoModel` and with `accord.load`.

    Args:
        source: a run folder, or its model/.
        out: the folder to write; must not be there yet.
        task: by name.

    Raises:
        UsageError: if there is no such task, or `out` is there or can't be written.
        ModelError: if the task has parts that no plain BERT has.
    """
    if out.exists():
        raise UsageError(f"{out}: is there already")
    folder = find_model_folder(source)
    model, inputs, max_length = load_model(folder)
    names = [own.name for own in model.tasks]
    if task not in names:
        raise UsageError(f"{folder}: no task '{task}'{nearest(task, names)}")
    try:
        alone = _alone(model, names.index(task))
    except ValueError as error:
        raise ModelError(f"{folder}: {task}: {error}") from None
    try:
        replace_folder(
            out, lambda to: save_model(alone, to, {task: inputs[task]}, max_length, folder)
        )
    except OSError as error:
        raise UsageError(f"{out}: can't be written: {error.strerror}") from None


def _alone(model: MultitaskModel, task: int) -> MultitaskModel:
    encoder = copy.deepcopy(model.encoder)
    if model.parts is not None:
        model.parts.merge(task, encoder)
    own = MultitaskModel(encoder, [model.tasks[task]])
    own.head(model.tasks[task].name).load_state_dict(
        model.head(model.tasks[task].name).state_dict()
    )
    return own
