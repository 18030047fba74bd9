"""A pickled checkpoint as safetensors: the one place where Accord reads a pickle, if asked to.

torch's loader for weights alone runs no code from the file. Whatever else a file holds, such as the
settings of the script that wrote it, is read as objects that do nothing.
"""

from __future__ import annotations

import pickle
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from accord.data.tokenizer_files import TOKENIZER_FILES
from accord.durable import replace_folder, write_tensors
from accord.errors import EncoderError, UsageError

WEIGHTS = "model.safetensors"
PICKLES = ("pytorch_model.bin", "model.pt", "model.pth", "model.bin")
BESIDE = ("config.json", *TOKENIZER_FILES)
_DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32,
           torch.int16, torch.int8, torch.uint8, torch.bool)  # fmt: skip
_WRAPPERS = ("state_dict", "model_state_dict", "model")
_MINBERT = {
    "word_embedding": "embeddings.word_embeddings",
    "pos_embedding": "embeddings.position_embeddings",
    "tk_type_embedding": "embeddings.token_type_embeddings",
    "embed_layer_norm": "embeddings.LayerNorm",
    "bert_layers": "encoder.layer",
    "self_attention": "attention.self",
    "attention_dense": "attention.output.dense",
    "attention_layer_norm": "attention.output.LayerNorm",
    "interm_dense": "intermediate.dense",
    "out_dense": "output.dense",
    "out_layer_norm": "output.LayerNorm",
    "pooler_dense": "pooler.dense",
}
"""Parts of the names that the BERT of Stanford's CS224N has, and Hugging Face's for them."""


class _Inert:
    """Stands for an object that isn't known to torch's loader for weights alone."""

    def __init__(self, *arguments: object) -> None:
        """Take what the object would be made of, and leave it."""

    def __new__(cls, *arguments: object) -> _Inert:
        """As `__init__`: some pickles call this one alone."""
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        """Take the object's state, and leave it."""


def convert(source: Path, out: Path) -> int:
    """Write a folder with a pickled checkpoint's weights as safetensors.

    Those of the BERT of Stanford's CS224N get Hugging Face's names; all others keep theirs.

    Args:
        source: a pickled file, or a folder that holds one named as is usual; what stands beside
            it for config and tokenizer is copied.
        out: the folder to write; must not exist yet.

    Returns:
        The number of tensors.

    Raises:
        EncoderError: if there is no pickle, or no table of tensors in it.
        UsageError: if `out` is there or can't be written.
    """
    if out.exists():
        raise UsageError(f"{out}: already exists")
    file = _find(source)
    tensors = _tensors(file)

    def write(folder: Path) -> None:
        write_tensors(folder / WEIGHTS, tensors)
        for name in BESIDE:
            if (file.parent / name).is_file():
                shutil.copyfile(file.parent / name, folder / name)

    try:
        replace_folder(out, write)
    except OSError as error:
        raise UsageError(f"{out}: can't be written: {error.strerror}") from None
    return len(tensors)


def _find(source: Path) -> Path:
    if source.is_file():
        return source
    for name in PICKLES:
        if (source / name).is_file():
            return source / name
    problem = f"holds none of {', '.join(PICKLES)}" if source.is_dir() else "no such file or folder"
    raise EncoderError(f"{source}: {problem}")


def _tensors(file: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old formats: what can't be read is refused below
            with torch.serialization.safe_globals(_unknown(file)):
                loaded = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise EncoderError(f"{file}: can't be read: {error.strerror or error}") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise EncoderError(
            f"{file}: is damaged, or needs code of its own to be read, and none is run;"
            " torch.save(model.state_dict(), FILE) writes a file that needs none"
        ) from error
    state = _in_hugging_faces_names(_unwrapped(loaded, file))
    for name, value in state.items():
        if not isinstance(value, Tensor):
            kind = "no tensor" if isinstance(value, _Inert) else (
                f"a {type(value).__name__}, not a tensor"
            )  # fmt: skip
            raise EncoderError(f"{file}: '{name}' is {kind}")
        dense = value.layout == torch.strided and not (value.is_meta or value.is_nested)
        if not dense or value.dtype not in _DTYPES:
            kind = str(value.dtype).removeprefix("torch.")
            raise EncoderError(
                f"{file}: '{name}' is a {'' if dense else 'not dense '}tensor of {kind}, which is"
                " no encoder's weight"
            )
    # A file of safetensors holds no tensor twice: what is tied is written as often as it is named.
    return {str(name): value.detach().clone().contiguous() for name, value in state.items()}


def _unknown(file: Path) -> list[Any]:
    """Return what stands for each class and function that torch doesn't know, with its name."""
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(str(file))
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError):
        return []  # of an old format, or damaged: the loader sees for itself
    return [(_Inert, name) for name in names]


def _in_hugging_faces_names(state: Mapping[str, Any]) -> Mapping[str, Any]:
    if not any(str(name).endswith("tk_type_embedding.weight") for name in state):
        return state
    return {
        ".".join(_MINBERT.get(part, part) for part in str(name).split(".")): value
        for name, value in state.items()
    }


def _unwrapped(loaded: Any, file: Path) -> Mapping[str, Any]:
    """Return the table of tensors, which training scripts put beside other things."""
    if isinstance(loaded, Mapping):
        for name in _WRAPPERS:
            if isinstance(loaded.get(name), Mapping):
                inner: Mapping[str, Any] = loaded[name]
                return inner
        if loaded:
            return loaded
    raise EncoderError(
        f"{file}: holds no table of tensors; torch.save(model.state_dict(), FILE) writes one"
    )
