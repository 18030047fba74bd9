"""A pickled checkpoint as safetensors: the one place where Accord reads a pickle, if asked to.

torch's loader for weights alone runs no code from the file; whatever else a file holds, such as the
settings of the script that wrote it, makes it refuse.
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

from accord.durable import replace_folder, write_tensors
from accord.errors import EncoderError, UsageError

WEIGHTS = "model.safetensors"
PICKLES = ("pytorch_model.bin", "model.pt", "model.pth", "model.bin")
BESIDE = (
    "config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt",
    "special_tokens_map.json",
)  # fmt: skip
_DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32,
           torch.int16, torch.int8, torch.uint8, torch.bool)  # fmt: skip
_WRAPPERS = ("state_dict", "model_state_dict", "model")


def convert(source: Path, out: Path) -> int:
    """Write a folder with a pickled checkpoint's weights as safetensors.

    Args:
        source: a pickled file, or a folder that holds one named as is usual; what stands beside
            it for config and tokenizer is copied.
        out: the folder to write; must not be there yet.

    Returns:
        The number of tensors.

    Raises:
        EncoderError: if there is no pickle, or it holds anything but tensors.
        UsageError: if `out` is there or can't be written.
    """
    if out.exists():
        raise UsageError(f"{out}: is there already")
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
            loaded = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, OSError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EncoderError(
            f"{file}: holds more than tensors, or is damaged: torch's loader for weights alone"
            f" refuses it ({first})"
        ) from None
    state = _unwrapped(loaded, file)
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise EncoderError(f"{file}: '{name}' is a {type(value).__name__}, not a tensor")
        dense = value.layout == torch.strided and not (value.is_meta or value.is_nested)
        if not dense or value.dtype not in _DTYPES:
            kind = str(value.dtype).removeprefix("torch.")
            raise EncoderError(
                f"{file}: '{name}' is a {'' if dense else 'not dense '}tensor of {kind}, which is"
                " no encoder's weight"
            )
    # A file of safetensors holds no tensor twice: what is tied is written as often as it is named.
    return {str(name): value.detach().clone().contiguous() for name, value in state.items()}


def _unwrapped(loaded: Any, file: Path) -> Mapping[str, Any]:
    """Return the table of tensors, which training scripts put beside other things."""
    if isinstance(loaded, Mapping):
        for name in _WRAPPERS:
            if isinstance(loaded.get(name), Mapping):
                inner: Mapping[str, Any] = loaded[name]
                return inner
        if loaded:
            return loaded
    raise EncoderError(f"{file}: holds no table of tensors")
