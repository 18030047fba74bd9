"""One task's model out of a shared one: a plain BERT, with its head where transformers has such."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from accord.derived.finished import check_new, write_new
from accord.derived.single import open_single, single_task, update_json
from accord.durable import write_tensors
from accord.encoders.families.bert import BertConfig
from accord.encoders.pretrained import WEIGHTS
from accord.errors import ModelError
from accord.kinds import labelled_kind
from accord.model.saved import read_origins, save_model
from accord.tasks import Task


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
    single = open_single(source)
    folder, (number,) = single.folder, single.numbers([task])
    chosen = single.model.tasks[number]
    family = single.model.encoder.config.model_type
    if not encoder_only and (fault := _fault(chosen, family)):
        raise ModelError(
            f"{folder}: {task}: transformers has no head that says the same: {fault};"
            " --encoder-only writes the encoder for AutoModel, and the head for accord.load alone;"
            " --to onnx writes both"
        )
    alone = single_task(single, number)

    def write(to: Path) -> None:
        save_model(
            alone, to, {task: single.inputs[task]}, single.max_length, folder,
            origins=read_origins(folder),
        )  # fmt: skip
        if not encoder_only:
            _add_classifier(to, chosen, alone.head(task).linear)
            # So that truncation=True cuts a text where Accord does.
            update_json(to / "tokenizer_config.json", {"model_max_length": single.max_length})

    write_new(out, write)
    return chosen


def _fault(task: Task, family: str) -> str:
    """Return why no head of transformers says what a task's head says; or ''."""
    if family != BertConfig.model_type:
        return f"its '{family}' has other heads than BERT"
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
    update_json(folder / "config.json", _head_config(task))


def _head_config(task: Task) -> dict[str, Any]:
    """Return a head's entries in `config.json`."""
    return {
        "architectures": [labelled_kind(task).transformers_model],
        "classifier_dropout": task.dropout,
        **labelled_kind(task).transformers_config(task),
    }
