"""One task's model out of a shared one: a plain BERT, with its head where transformers has such."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from accord.derived.finished import check_new, write_new
from accord.durable import write_tensors
from accord.encoders.pretrained import WEIGHTS
from accord.errors import ModelError, UsageError, nearest
from accord.kinds import labelled_kind
from accord.model.multitask import MultitaskModel
from accord.model.saved import find_model_folder, load_model, save_model
from accord.tasks import Task
from accord.untrusted import read_json


def export(source: Path, out: Path, task: str, *, encoder_only: bool = False) -> Task:
    """Write a model folder of one task, in which the encoder is a plain BERT.

    LoRA's updates are added to the weights, a task's own norms and layers take the shared ones'
    place. The folder opens with `accord.load`, and with transformers'
    `AutoModelForSequenceClassification`, for a multiple choice `AutoModelForMultipleChoice`, for
    tags of words `AutoModelForTokenClassification`, or, if it is of the encoder alone, with its
    `AutoModel`.

    Args:
        source: a run folder, or its model/.
        out: the folder to write; must not exist yet.
        task: by name.
        encoder_only: leave the head to `accord.load`, which serves heads of every kind.

    Returns:
        The task.

    Raises:
        UsageError: if there is no such task, or `out` is there or can't be written.
        ModelError: if the task has parts that no plain BERT has, or a head that transformers
            hasn't and which isn't left out.
    """
    check_new(out)
    folder = find_model_folder(source)
    model, inputs, max_length = load_model(folder)
    names = [known.name for known in model.tasks]
    if task not in names:
        raise UsageError(f"{folder}: no task '{task}'{nearest(task, names)}")
    chosen = model.tasks[names.index(task)]
    if not encoder_only and (fault := _fault(chosen)):
        raise ModelError(
            f"{folder}: {task}: transformers has no head that says the same: {fault};"
            " --encoder-only writes the encoder for AutoModel, and the head for accord.load alone"
        )
    try:
        alone = _alone(model, names.index(task))
    except ValueError as error:
        raise ModelError(f"{folder}: {task}: {error}") from None

    def write(to: Path) -> None:
        save_model(alone, to, {task: inputs[task]}, max_length, folder)
        if not encoder_only:
            _add_classifier(to, chosen, alone.head(task).linear)
            # So that truncation=True cuts a text where Accord does.
            _update_json(to / "tokenizer_config.json", {"model_max_length": max_length})

    write_new(out, write)
    return chosen


def _alone(model: MultitaskModel, task: int) -> MultitaskModel:
    encoder = copy.deepcopy(model.encoder)
    if model.parts is not None:
        model.parts.merge(task, encoder)
    single = MultitaskModel(encoder, [model.tasks[task]])
    single.head(model.tasks[task].name).load_state_dict(
        model.head(model.tasks[task].name).state_dict()
    )
    return single


def _fault(task: Task) -> str:
    """Return why no head of transformers says what a task's head says; or ''."""
    if task.sequences == 2:
        return 'it reads a pair as two sequences; encoding = "joint" makes them one'
    if fault := labelled_kind(task).transformers_fault(task):
        return fault
    theirs = labelled_kind(task).transformers_pooling
    if task.pooling != theirs:
        return f"it pools by '{task.pooling}'; pooling = \"{theirs}\" does what transformers does"
    return ""


def _add_classifier(folder: Path, task: Task, linear: nn.Linear | None) -> None:
    """Make a model folder's encoder transformers' BERT of the task's kind, with its head."""
    assert linear is not None  # pairs encoded separately alone have other heads
    with torch.no_grad():
        weight, bias = (
            tensor.float().contiguous()
            for tensor in labelled_kind(task).transformers_layer(task, linear)
        )
    tensors = {f"bert.{name}": value for name, value in load_file(folder / WEIGHTS).items()}
    write_tensors(
        folder / WEIGHTS, {**tensors, "classifier.weight": weight, "classifier.bias": bias}
    )
    _update_json(folder / "config.json", _head_config(task))


def _update_json(file: Path, changes: dict[str, Any]) -> None:
    try:
        table = {**(read_json(file) if file.exists() else {}), **changes}
    except (ValueError, TypeError) as error:
        raise ModelError(f"{file.name} of the model: can't be read: {error}") from None
    file.write_text(json.dumps(table, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _head_config(task: Task) -> dict[str, Any]:
    """Return a head's entries in `config.json`."""
    return {
        "architectures": [labelled_kind(task).transformers_model],
        "classifier_dropout": task.dropout,
        **labelled_kind(task).transformers_config(task),
    }
