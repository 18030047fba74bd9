"""The three tasks of Stanford's CS224N default final project, on the course's own files."""

from __future__ import annotations

from pathlib import Path

from accord.errors import DataError
from accord.recipes.starter import quote
from accord.untrusted import read_json

_SMALL_LR = "lr = 1e-4                     # a small encoder learns at more than the default 5e-5\n"
_SMALL_HIDDEN = 512


def cs224n_recipe(data: Path, encoder: str) -> str:
    """Return the recipe as TOML text: `cs224n.toml`, filled in.

    Args:
        data: the folder with the course's files; the unlabelled test files may be absent.
        encoder: a folder in Hugging Face format, or a hub id.

    Raises:
        DataError: a training or dev file is not in the folder.
    """
    files = {prefix: _files(data, prefix) for prefix in ("ids-sst", "quora", "sts")}
    template = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
    lr = _SMALL_LR * _is_small(encoder)
    return template.format_map({**files, "encoder": quote(encoder), "lr": lr})


def _is_small(encoder: str) -> bool:
    """Whether the encoder is a folder at hand whose config says that it is narrow."""
    try:
        config = read_json(Path(encoder) / "config.json")
        return int(config["hidden_size"]) <= _SMALL_HIDDEN
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _files(data: Path, prefix: str) -> str:
    lines = []
    for split in ("train", "dev", "test"):
        path = data / f"{prefix}-{split}{'-student' if split == 'test' else ''}.csv"
        if path.is_file():
            lines.append(f"{split} = {quote(str(path.absolute()))}")
        elif split != "test":
            raise DataError(f"{path}: no such file; the recipe needs the course's train and dev")
    return "\n".join(lines)
