"""Encoders in Hugging Face's format: found, checked, loaded and saved."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from accord.data.tokenizer_files import TOKENIZER_FILES
from accord.durable import write_tensors
from accord.encoders.blocks import ACTIVATIONS
from accord.encoders.encoder import Encoder, EncoderConfig
from accord.encoders.families import FAMILIES
from accord.encoders.family import Family
from accord.errors import EncoderError, nearest
from accord.untrusted import check_regular, read_json

WEIGHTS = "model.safetensors"
_DEFAULT = "bert"  # the family of a config that names none
INDEX = "model.safetensors.index.json"
HUB_FILES = ["config.json", WEIGHTS, INDEX, "model-*.safetensors", *TOKENIZER_FILES]


def resolve_encoder_folder(path: str | Path, revision: str | None = None) -> Path:
    """Return the folder of an encoder, downloaded first where `path` is a hub id.

    Raises:
        EncoderError: if there is no such folder, and no such repository on the hub.
    """
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists() or str(path).startswith((".", "/", "~")) or str(path).count("/") > 1:
        raise EncoderError(f"{path}: no such folder; an encoder is a folder or a hub id")
    return _download(str(path), revision)


def _download(repository: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(repository, revision=revision, allow_patterns=HUB_FILES)
    except Exception as error:  # the hub's errors share no base class
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise EncoderError(
            f"{repository}: no such folder, and the hub did not give it: {reason}"
        ) from error
    return Path(folder)


def read_config(folder: Path) -> EncoderConfig:
    """Read and check an encoder's `config.json`.

    Raises:
        EncoderError: if it is missing, of no known family, or holds a value that can't be.
    """
    file = folder / "config.json"
    if not file.is_file():
        raise EncoderError(f"{folder}: {_instead(folder)}")
    try:
        table = read_json(file)
    except (OSError, ValueError) as error:
        raise EncoderError(f"{file}: can't be read: {error}") from None
    kind = table.get("model_type", _DEFAULT) if isinstance(table, dict) else table
    if not isinstance(table, dict) or not isinstance(kind, str) or kind not in FAMILIES:
        allowed = ", ".join(f"'{name}'" for name in FAMILIES)
        raise EncoderError(f"{file}: model_type is {kind!r}; allowed: {allowed}")
    return _checked(FAMILIES[kind], table, file)


def _instead(folder: Path) -> str:
    """Say what a folder without a config.json is, and where the encoder may be that is meant."""
    try:
        description = read_json(folder / "accord.json")
    except (OSError, ValueError):
        description = None
    if isinstance(description, dict) and "members" in description:
        return "is an ensemble, which can't be an encoder; each folder in its 'members' can"
    inner = folder / "model"
    hint = f"; did you mean '{inner}'?" if (inner / "config.json").is_file() else ""
    return f"is no encoder: it has no config.json{hint}"


def _checked(family: Family, table: dict[str, Any], file: Path) -> EncoderConfig:
    known = fields(family.config)
    names = {field.name for field in known}
    config = family.config(**{name: value for name, value in table.items() if name in names})
    for field in known:
        _check_value(getattr(config, field.name), field.name, str(field.type), file)
    if config.hidden_act not in ACTIVATIONS:
        hint = nearest(config.hidden_act, ACTIVATIONS)
        raise EncoderError(f"{file}: hidden_act '{config.hidden_act}' is unknown{hint}")
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
        if getattr(config, name) >= 1:
            raise EncoderError(f"{file}: {name} is {getattr(config, name)}; allowed: below 1")
    if config.hidden_size % config.num_attention_heads:
        raise EncoderError(
            f"{file}: hidden_size {config.hidden_size} is no multiple of"
            f" num_attention_heads {config.num_attention_heads}"
        )
    for name, value in family.constants.items():
        if table.get(name, value) != value:
            raise EncoderError(f"{file}: {name} is {table[name]!r}; allowed: {value!r}")
    return config


def _check_value(value: object, name: str, kind: str, file: Path) -> None:
    """Check a config value's type and bounds: sizes count from 1, the others from 0."""
    low = 0 if name == "pad_token_id" or kind == "float" else 1
    if kind == "str":
        fits = isinstance(value, str)
    else:
        wanted = int if kind == "int" else (int, float)
        fits = isinstance(value, wanted) and not isinstance(value, bool) and low <= value < 2**31
    if not fits:
        allowed = "a str" if kind == "str" else f"a {kind} from {low}"
        raise EncoderError(f"{file}: {name} is {value!r}; allowed: {allowed}")


def load_encoder(path: str | Path, revision: str | None = None) -> Encoder:
    """Load an encoder in float32.

    Args:
        path: a folder in Hugging Face's format, or a hub id.
        revision: a hub revision.

    Raises:
        EncoderError: if it is none, naming the missing or misshapen tensor.
    """
    folder = resolve_encoder_folder(path, revision)
    config = read_config(folder)
    family = FAMILIES[config.model_type]
    tensors = _open_weights(folder, family)
    pooler = any(name.startswith("pooler.") for name in tensors)
    encoder = _checked_shapes(config, pooler, tensors, folder / WEIGHTS)
    # As `to_empty` does, but that imports a computer algebra system to think of strides: a second.
    encoder._apply(  # type: ignore[no-untyped-call]
        lambda meta: torch.empty_like(meta, device="cpu", memory_format=torch.contiguous_format)
    )
    with torch.no_grad():
        for name, view in family.named_views(encoder):
            view.copy_(tensors[name])
            if not view.isfinite().all():
                raise EncoderError(f"{folder}: tensor '{name}' holds values that aren't finite")
    return encoder


def load_predictions(path: str | Path, names: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """Load the head with which an encoder was pretrained to predict masked words.

    Args:
        path: a folder in Hugging Face's format.
        names: of `MaskedLMHead`'s tensors, with tensors of their shapes.

    Returns:
        Tensors by those names; None if the folder has no such head.

    Raises:
        EncoderError: if it has a part of one, or a tensor of another shape.
    """
    file, family = Path(path) / WEIGHTS, FAMILIES[read_config(Path(path)).model_type]
    stored = _open_weights(Path(path), family)
    tensors, missing = dict[str, Tensor](), list[str]()
    for name, wanted in names.items():
        known = [family.predictions + alias for alias in family.prediction_names.get(name, (name,))]
        tensor = next((stored[alias] for alias in known if alias in stored), None)
        if tensor is None:
            missing.append(known[0])
            continue
        if tensor.shape != wanted.shape:
            raise EncoderError(
                f"{file}: tensor '{known[0]}' has shape {list(tensor.shape)};"
                f" config.json asks for {list(wanted.shape)}"
            )
        if not tensor.isfinite().all():
            raise EncoderError(f"{file}: tensor '{known[0]}' holds values that aren't finite")
        tensors[name] = tensor
    if tensors and missing:
        raise EncoderError(f"{file}: tensor '{missing[0]}' is missing")
    return tensors or None


def _open_weights(folder: Path, family: Family) -> dict[str, Tensor]:
    """Read an encoder's tensors under their present-day names, from one file or from shards."""
    tensors = {}
    for file in _weight_files(folder):
        try:
            check_regular(file)
            with safe_open(file, framework="pt") as weights:
                for name in weights.keys():  # noqa: SIM118 - it is no mapping
                    tensors[name] = weights.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise EncoderError(f"{file}: can't be read: {error}") from None
    prefix = _prefix(tensors, family.words, folder / WEIGHTS)
    outer_prefix = prefix.removesuffix(family.prefix)  # of the model with its pretraining head
    return {
        _modern(name.removeprefix(prefix if name.startswith(prefix) else outer_prefix)): tensor
        for name, tensor in tensors.items()
        if name.startswith((prefix, outer_prefix + family.predictions))
    }  # fmt: skip


def _prefix(names: Collection[str], words: str, file: Path) -> str:
    """Return what an encoder's names begin with: those of modules that it was saved in."""
    prefixes = sorted({name.removesuffix(words) for name in names if name.endswith(words)})
    if not prefixes:
        first = f"; the first of those there is '{min(names)}'" if names else ""
        raise EncoderError(f"{file}: tensor '{words}' is missing{first}")
    if len(prefixes) > 1:
        raise EncoderError(
            f"{file}: holds {len(prefixes)} encoders, with names that begin with '{prefixes[0]}'"
            f" and '{prefixes[1]}'; a file of one alone can be used"
        )
    return prefixes[0]


def _weight_files(folder: Path) -> list[Path]:
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    index = folder / INDEX
    if not index.is_file():
        old = f"; its pickled weights are not opened: 'accord convert {folder} OUT' converts them"
        pickled = (folder / "pytorch_model.bin").exists()
        raise EncoderError(f"{folder}: is no encoder: it has no {WEIGHTS}{old * pickled}")
    try:
        names = sorted(set(read_json(index)["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EncoderError(f"{index}: can't be read: {error!r}") from None
    for name in names:
        if not (isinstance(name, str) and re.fullmatch(r"[\w.-]+\.safetensors", name)):
            raise EncoderError(f"{index}: {name!r} is no name of a file in this folder")
        if not (folder / name).is_file():
            raise EncoderError(f"{index}: {name} is missing")
    return [folder / name for name in names]


def _checked_shapes(
    config: EncoderConfig, pooler: bool, tensors: dict[str, Tensor], file: Path
) -> Encoder:
    """Check every tensor against the config before memory is taken for what that asks for.

    Returns:
        The encoder on torch's meta device, without values.
    """
    family = FAMILIES[config.model_type]
    begin = family.layer.partition("{}")[0]
    layers = {
        tensor.removeprefix(begin).split(".")[0] for tensor in tensors if tensor.startswith(begin)
    }
    if config.num_hidden_layers > len(layers):
        raise EncoderError(
            f"{file}: tensor '{family.layer.format(len(layers))}' is missing: config.json asks for"
            f" {config.num_hidden_layers} layers"
        )
    with torch.device("meta"):  # shapes alone
        skeleton = config.new_encoder(pooler)
    for name, view in family.named_views(skeleton):
        if name not in tensors:
            raise EncoderError(f"{file}: tensor '{name}' is missing")
        if not tensors[name].is_floating_point():
            kind = str(tensors[name].dtype).removeprefix("torch.")
            raise EncoderError(f"{file}: tensor '{name}' is of {kind}, not of floating point")
        if tensors[name].shape != view.shape:
            raise EncoderError(
                f"{file}: tensor '{name}' has shape {list(tensors[name].shape)};"
                f" config.json asks for {list(view.shape)}"
            )
    return skeleton


def _modern(name: str) -> str:
    """Return today's name of a tensor: `weight` for the old `gamma`, `bias` for `beta`."""
    if name.endswith("LayerNorm.gamma"):
        return name.removesuffix("gamma") + "weight"
    if name.endswith("LayerNorm.beta"):
        return name.removesuffix("beta") + "bias"
    return name


def save_encoder(encoder: Encoder, folder: Path) -> None:
    """Save an encoder so that `transformers.AutoModel` opens the folder.

    Args:
        encoder: to save.
        folder: made where it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    family = FAMILIES[encoder.config.model_type]
    table = {
        "architectures": [family.architecture],
        "model_type": family.model_type,
        **family.constants,
        **asdict(encoder.config),
    }
    (folder / "config.json").write_text(json.dumps(table, indent=2, sort_keys=True) + "\n")
    tensors = {
        name: view.detach().to("cpu", torch.float32).contiguous().clone()
        for name, view in family.named_views(encoder)
    }
    write_tensors(folder / WEIGHTS, tensors)
