"""Ready-made configurations for known data sets: a TOML file each, filled in with their files."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from string import Formatter

from accord.errors import DataError
from accord.recipes.starter import quote
from accord.untrusted import read_json

_FOLDER = Path(__file__).parent
_SMALL_LR = "lr = 1e-4                     # a small encoder learns at more than the default 5e-5\n"
_SMALL_HIDDEN = 512


@cache
def recipe_names() -> tuple[str, ...]:
    """Return the recipes that there are.

    Example:
        >>> recipe_names()
        ('assistant', 'cs224n')
    """
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def recipe(name: str, data: Path, encoder: str) -> str:
    """Return a recipe as TOML text.

    Its file has a placeholder for each task's files, named as these begin: `{quora}` becomes the
    paths of the `quora-train`, `quora-dev` and `quora-test` files in the folder.

    Args:
        name: one of `recipe_names`.
        data: the folder with the data set's files; test files may be absent.
        encoder: a folder in Hugging Face format, or a hub id.

    Raises:
        DataError: a training or dev file is not in the folder, or it can't be told which it is.
    """
    template = (_FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    prefixes = {field for _, field, *_ in Formatter().parse(template) if field}
    files = {prefix: _files(data, prefix) for prefix in sorted(prefixes - {"encoder", "lr"})}
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
        paths = sorted(data.glob(f"{prefix}-{split}*"))
        if len(paths) > 1:
            names = ", ".join(path.name for path in paths)
            raise DataError(f"{data}: holds several files for {prefix}-{split}: {names}")
        if paths:
            lines.append(f"{split} = {quote(str(paths[0].absolute()))}")
        elif split != "test":
            raise DataError(f"{data}: has no file {prefix}-{split}.*; the recipe needs it")
    return "\n".join(lines)
