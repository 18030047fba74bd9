"""A model folder: an encoder that Hugging Face's loaders open, with its heads beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

import torch
from safetensors import SafetensorError

from accord.data.textfiles import DelimiterName, QuotingName, encoding_fault
from accord.data.tokenizing import save_tokenizer
from accord.durable import load_tensors, write_tensors
from accord.encoders.pretrained import load_encoder, save_encoder
from accord.errors import ModelError
from accord.model.multitask import MultitaskModel
from accord.model.origin import Origin
from accord.model.parts import Sharing
from accord.sharing import get_scheme, scheme_names
from accord.tasks import Task
from accord.untrusted import read_json

DESCRIPTION, HEADS, PARTS = "accord.json", "heads.safetensors", "parts.safetensors"
MEMBERS = "members"  # of an ensemble (`accord.model.saved_ensemble`)
FORMAT, OLDEST = 2, 1  # written, and the oldest that is read
PLACE = re.compile(r"(?<=\.per_task\.)\d+(?=\.)")  # of a task, in the names of its parts


@dataclass(frozen=True)
class InputFormat:
    """How a task's files name their columns, so that new files of the kind can be read.

    Attributes:
        text: the text columns, one or two.
        label: the label's column.
        id: the id's column; None if there is none.
        delimiter: as `[tasks.NAME]` has it; None takes what the header line and the rows use.
        quoting: 'csv', 'none' or None, likewise.
        file_encoding: of text files, likewise; None is UTF-8, or what a byte order mark says.
        missing: what the label's column holds where a row has none.
    """

    text: tuple[str, ...]
    label: str = "label"
    id: str | None = None
    delimiter: DelimiterName | None = None
    quoting: QuotingName | None = None
    file_encoding: str | None = None
    missing: tuple[str, ...] = ()


def save_model(
    model: MultitaskModel,
    folder: Path,
    inputs: dict[str, InputFormat],
    max_length: int,
    tokenizer_from: Path,
    thresholds: Mapping[str, tuple[float, ...]] = MappingProxyType({}),
    origins: Mapping[str, Origin] = MappingProxyType({}),
) -> None:
    """Write a model folder; it holds no time, path or host, and nothing of tasks without labels.

    Args:
        model: to save.
        folder: made where it is missing.
        inputs: each task's columns.
        max_length: tokens that a sequence may have.
        tokenizer_from: the folder whose tokenizer is the model's too.
        thresholds: of the tasks that have others than the model's.
        origins: what tasks were made from, where it is known.
    """
    save_encoder(model.encoder, folder)
    save_tokenizer(tokenizer_from, folder)
    heads = {
        f"{task.name}.{name}": value.detach().to("cpu", torch.float32).contiguous()
        for task in model.labelled
        for name, value in model.head(task.name).plain_state().items()
    }
    write_tensors(folder / HEADS, heads)
    if model.parts is not None:
        tensors = {
            name: value.detach().to("cpu", torch.float32).contiguous()
            for name, value in _saved_parts(model)
        }
        write_tensors(folder / PARTS, tensors)
    entries = [
        {
            **replace(task, thresholds=thresholds.get(task.name, task.thresholds)).to_json(),
            "input": asdict(inputs[task.name]),
            "made": origins[task.name].to_json() if task.name in origins else None,
        }
        for task in model.labelled
    ]
    write_description(
        folder, max_length, None if model.parts is None else model.parts.sharing, entries
    )


def write_description(
    folder: Path, max_length: int, sharing: Sharing | None, entries: Sequence[Mapping[str, Any]]
) -> None:
    """Write a model folder's `accord.json`.

    Args:
        folder: of the model.
        max_length: tokens that a sequence may have.
        sharing: what tasks have of their own; None is a head alone.
        entries: of the tasks, in order.
    """
    description = {
        "format": FORMAT,
        "max_length": max_length,
        "sharing": None if sharing is None else asdict(sharing),
        "tasks": [*entries],
    }
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


def _saved_parts(model: MultitaskModel) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the labelled tasks' parts by the names that a model of these alone has for them."""
    assert model.parts is not None
    places = {model.tasks.index(task): i for i, task in enumerate(model.labelled)}
    for name, value in model.parts.named_parameters():
        place = PLACE.search(name)
        if place is None:
            yield name, value
        elif int(place[0]) in places:
            yield PLACE.sub(str(places[int(place[0])]), name), value


def find_model_folder(path: Path) -> Path:
    """Return the model folder that a path names: itself, or a run folder's `model/`.

    Raises:
        ModelError: if it is neither.
    """
    for folder in (path, path / "model"):
        if (folder / DESCRIPTION).is_file():
            return folder
    problem = "holds no accord.json" if path.is_dir() else "no such folder"
    raise ModelError(f"{path}: {problem}; a model is a run folder or its model/ folder")


def read_description(folder: Path) -> dict[str, Any]:
    """Read and check a model folder's `accord.json`.

    Raises:
        ModelError: if it can't be read or is of another format.
    """
    file = folder / DESCRIPTION
    try:
        read = read_json(file)
    except (OSError, ValueError) as error:
        raise ModelError(f"{file}: can't be read: {error}") from None
    description: dict[str, Any] = read if isinstance(read, dict) else {}
    given = description.get("format")
    if not isinstance(given, int) or not OLDEST <= given <= FORMAT:
        newer = isinstance(given, int) and given > FORMAT
        raise ModelError(
            f"{file}: is of another format, {given!r:.40}; this version reads formats {OLDEST} to"
            f" {FORMAT}" + "; a newer version of Accord reads it" * newer
        )
    return description


def read_tasks(folder: Path) -> tuple[list[Task], dict[str, InputFormat], int]:
    """Read a model folder's tasks, their input formats and the longest length allowed.

    Raises:
        ModelError: as `read_description`, or if something is missing.
    """
    return described_tasks(read_description(folder), folder / DESCRIPTION)


def described_tasks(
    description: Mapping[str, Any], file: Path
) -> tuple[list[Task], dict[str, InputFormat], int]:
    """Return the tasks that a model's description names, as `read_tasks`.

    Args:
        description: as `accord.json` has it.
        file: where it stands, for messages.
    """
    tasks, inputs = [], {}
    try:
        for entry in description["tasks"]:
            value = dict(entry)
            given, origin = value.pop("input"), value.pop("made", None)
            if origin is not None:
                Origin.from_json(origin)
            task = Task.from_json(value)
            tasks.append(task)
            given |= {"text": tuple(given["text"]), "missing": tuple(given.get("missing", ()))}
            inputs[task.name] = InputFormat(**given)
        if description["tasks"] == []:
            raise ModelError(
                f"{file.parent}: holds an encoder alone, trained without labels: no task's head;"
                " encoder.path takes it, and so does transformers.AutoModel"
            )
        if not tasks or len(inputs) < len(tasks):
            raise ValueError("no task, or one name twice")
        for form in inputs.values():
            _check_input(form)
        length = description["max_length"]
        if not (isinstance(length, int) and 3 <= length < 2**31):
            raise ValueError(f"max_length is {length!r}")
        return tasks, inputs, length
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{file}: is incomplete: {error!r}") from None


def read_origins(folder: Path) -> dict[str, Origin]:
    """Read what the tasks of a sound model folder were made from, where it is known."""
    entries = read_description(folder)["tasks"]
    return {
        entry["name"]: Origin.from_json(entry["made"]) for entry in entries if entry.get("made")
    }


def joined_origins(folders: Sequence[Path]) -> dict[str, Origin]:
    """Return what tasks made of those of several sound model folders are made from, where all of
    these say it."""
    each = [read_origins(folder) for folder in folders]
    names = [name for name in each[0] if all(name in known for known in each)]
    return {name: Origin.of_several([known[name] for known in each]) for name in names}


def _check_input(form: InputFormat) -> None:
    names = (*form.text, form.label, *([] if form.id is None else [form.id]))
    if not (0 < len(form.text) < 3 and all(isinstance(name, str) for name in names)):
        raise ValueError(f"columns are {names!r}")
    if not all(isinstance(label, str) for label in form.missing):
        raise ValueError(f"missing labels are {form.missing!r}")
    for key in ("delimiter", "quoting", "file_encoding"):
        if not isinstance(getattr(form, key), str | None):
            raise ValueError(f"{key} is {getattr(form, key)!r}")
    if form.delimiter not in (None, *get_args(DelimiterName)):
        raise ValueError(f"delimiter is {form.delimiter!r}")
    if form.quoting not in (None, *get_args(QuotingName)):
        raise ValueError(f"quoting is {form.quoting!r}")
    if fault := encoding_fault(form.file_encoding):
        raise ValueError(fault)


def load_model(folder: Path) -> tuple[MultitaskModel, dict[str, InputFormat], int]:
    """Load a model folder.

    Returns:
        The model, each task's columns, and the longest length allowed.

    Raises:
        ModelError, EncoderError: if it can't be loaded, naming the file and tensor.
    """
    tasks, inputs, max_length = read_tasks(folder)
    if MEMBERS in read_description(folder):
        raise ModelError(f"{folder}: is an ensemble; a single model is needed here")
    sharing = read_sharing(folder)
    try:
        model = MultitaskModel(load_encoder(folder), tasks, sharing)
    except ValueError as error:
        raise ModelError(f"{folder / DESCRIPTION}: sharing: {error}") from None
    _check_fit(model, max_length, folder)
    fill(dict(model.heads.state_dict()), folder / HEADS)
    if model.parts is not None:
        fill(dict(model.parts.named_parameters()), folder / PARTS)
    return model, inputs, max_length


def _check_fit(model: MultitaskModel, max_length: int, folder: Path) -> None:
    """Check that the encoder has a row for every position and token type that texts may have."""
    sizes = model.encoder.config
    if max_length > sizes.max_position_embeddings:
        raise ModelError(
            f"{folder / DESCRIPTION}: max_length is {max_length}, but the encoder holds"
            f" {sizes.max_position_embeddings} tokens"
        )
    for task in model.labelled:
        if task.joins_texts and sizes.type_vocab_size < 2:
            raise ModelError(
                f"{folder / DESCRIPTION}: task '{task.name}' joins pairs, which takes two token"
                f" types, but the encoder has {sizes.type_vocab_size}"
            )


def read_sharing(folder: Path) -> Sharing:
    """Read what of the encoder a model's tasks have of their own.

    Raises:
        ModelError: if it names what there isn't.
    """
    description = read_description(folder)
    recorded = description.get("sharing") or {"schemes": [], "options": {}}
    try:
        names, options, only = recorded["schemes"], recorded["options"], recorded.get("only", {})
        if not set(names) <= set(scheme_names()) or len(set(names)) < len(names):
            raise ValueError(f"schemes are {names!r}")
        places = range(len(description["tasks"]))
        for name, tasks in only.items():
            if name not in names or not tasks or any(task not in places for task in tasks):
                raise ValueError(f"only is {only!r:.80}")
            if get_scheme(name).copies:
                raise ValueError(
                    f"only some tasks have '{name}', whose shared layers are untrained"
                )
        return Sharing(
            tuple(names),
            {name: dict(options.get(name, {})) for name in names},
            {name: tuple(tasks) for name, tasks in only.items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{folder / DESCRIPTION}: sharing can't be read: {error!r}") from None


@torch.no_grad()
def fill(expected: dict[str, torch.Tensor], file: Path) -> None:
    """Copy a file's tensors into a model's, by name.

    Raises:
        ModelError: if it can't be read; naming a tensor that is missing, misshapen or too many.
    """
    try:
        tensors = load_tensors(file)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{file}: can't be read: {error}") from None
    for name, value in expected.items():
        if name not in tensors:
            raise ModelError(f"{file}: tensor '{name}' is missing")
        if tensors[name].shape != value.shape:
            shape = list(tensors[name].shape)
            raise ModelError(f"{file}: tensor '{name}' has shape {shape}, not {list(value.shape)}")
        if not tensors[name].is_floating_point():
            raise ModelError(f"{file}: tensor '{name}' is not of floating point")
        if not value.copy_(tensors[name]).isfinite().all():
            raise ModelError(f"{file}: tensor '{name}' holds values that aren't finite")
    if extra := sorted(tensors.keys() - expected.keys()):
        what = "head" if file.name == HEADS else "part"
        raise ModelError(f"{file}: tensor '{extra[0]}' belongs to no {what}")
