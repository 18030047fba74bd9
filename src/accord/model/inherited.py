"""Heads and parts of an earlier model, taken over by a new one whose tasks have the same names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from accord.durable import load_tensors
from accord.errors import ConfigError, ModelError
from accord.model.multitask import MultitaskModel
from accord.model.saved import (
    DESCRIPTION,
    HEADS,
    MEMBERS,
    PARTS,
    read_description,
    read_sharing,
    read_tasks,
)
from accord.tasks import Task


def check_inheritance(folder: Path) -> None:
    """Check that a folder holds heads that can be taken over.

    Raises:
        ModelError: if it is no single Accord model.
    """
    if not (folder / DESCRIPTION).is_file():
        inner = folder / "model"
        hint = f"; {inner} does" if (inner / DESCRIPTION).is_file() else ""
        raise ModelError(
            f"{folder}: encoder.heads = 'keep' takes heads from a model folder of Accord's; this"
            f" one holds no {DESCRIPTION}{hint}"
        )
    if MEMBERS in read_description(folder):
        raise ModelError(f"{folder}: is an ensemble; encoder.heads = 'keep' takes a single model")


def dropped_parts(folder: Path) -> str:
    """Return the schemes whose parts a folder's encoder is without, where it is Accord's; or ''."""
    if not (folder / DESCRIPTION).is_file() or MEMBERS in read_description(folder):
        return ""
    return ", ".join(read_sharing(folder).schemes)


@torch.no_grad()
def inherit(model: MultitaskModel, folder: Path, finished: tuple[str, ...] = ()) -> list[str]:
    """Take over the heads and parts of a model folder's tasks of the same names.

    A head with a moving scale (PopArt) that goes on learning has begun with the scale of its own
    targets: its layer is set so that in target units it says what the saved, plain one says. A
    finished task's head is the saved one to the bit.

    Args:
        model: with new heads.
        folder: of the earlier model.
        finished: tasks that learn no more; the folder must hold them.

    Returns:
        Names of the tasks whose heads were taken over.

    Raises:
        ConfigError: if a task of the same name is another one, or its parts have no place.
        ModelError: if the folder can't be read.
    """
    saved, _, _ = read_tasks(folder)
    earlier = {task.name: place for place, task in enumerate(saved)}
    for name in finished:
        if name not in earlier:
            raise ConfigError(f"memory.finished: {folder} holds no task '{name}'")
    heads, kept = _tensors(folder / HEADS), []
    for place, task in enumerate(model.tasks):
        if task.name not in earlier:
            continue
        _check_same(task, saved[earlier[task.name]], folder)
        head = model.head(task.name)
        for name, parameter in head.named_parameters():
            _copy(parameter, heads, f"{task.name}.{name}", folder / HEADS)
        if task.name not in finished and head.scale is not None and head.linear is not None:
            head.scale.unfold(head.linear)
        _inherit_parts(model, place, earlier[task.name], folder)
        kept.append(task.name)
    return kept


def inheritance_contents(folder: Path) -> str:
    """Return a hash of what can be taken over from a folder."""
    digest = hashlib.sha256()
    for file in (HEADS, PARTS):
        if (folder / file).is_file():
            digest.update((folder / file).read_bytes())
    return digest.hexdigest()


def _check_same(task: Task, earlier: Task, folder: Path) -> None:
    """Check that a head means now what it meant; how it was trained and evaluated may differ."""
    same = replace(earlier.as_used, metric=task.metric, positive=task.positive).to_json()
    for key, value in task.as_used.to_json().items():
        if same[key] != value:
            raise ConfigError(
                f"tasks.{task.name}: encoder.heads = 'keep', but the head in {folder} is for"
                f" {key} {same[key]}, not {value}"
            )


def _inherit_parts(model: MultitaskModel, place: int, earlier: int, folder: Path) -> None:
    sharing, name = read_sharing(folder).of_task(earlier), model.tasks[place].name
    if not sharing.schemes:
        return
    options = {} if model.parts is None else model.parts.sharing.options
    for scheme in sharing.schemes:
        if scheme not in options:
            raise ConfigError(
                f"sharing.schemes: lacks '{scheme}', parts of which {folder} has for '{name}';"
                " encoder.heads = 'keep' takes them over too"
            )
        if json.dumps(options[scheme]) != json.dumps(sharing.options[scheme]):
            raise ConfigError(
                f"methods.{scheme}: {folder} has parts of '{name}' with the options"
                f" {json.dumps(sharing.options[scheme])}; encoder.heads = 'keep' needs the same"
            )
    tensors = _tensors(folder / PARTS)
    for mine, its, parameter in _part_names(model, place, earlier):
        if mine.split(".")[1] in sharing.schemes or mine.startswith("embeddings."):
            _copy(parameter, tensors, its, folder / PARTS)


def _part_names(
    model: MultitaskModel, place: int, earlier: int
) -> Iterator[tuple[str, str, Tensor]]:
    """Yield a task's part parameters with their names here, and in a model where it has another
    place; what layers share is there once, under the first of its names."""
    assert model.parts is not None
    seen: set[int] = set()
    for name, parameter in model.parts.named_of_task(place):
        if id(parameter) not in seen:
            seen.add(id(parameter))
            yield name, name.replace(f".per_task.{place}.", f".per_task.{earlier}.", 1), parameter


def _copy(parameter: Tensor, tensors: dict[str, Tensor], name: str, file: Path) -> None:
    if name not in tensors:
        raise ModelError(f"{file}: tensor '{name}' is missing")
    if tensors[name].shape != parameter.shape:
        shape = list(tensors[name].shape)
        raise ModelError(f"{file}: tensor '{name}' has shape {shape}, not {list(parameter.shape)}")
    parameter.copy_(tensors[name])


def _tensors(file: Path) -> dict[str, Tensor]:
    try:
        return load_tensors(file)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{file}: can't be read: {error}") from None
