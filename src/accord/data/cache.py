"""The cache folder, and files that appear in it whole or not at all."""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache as once
from pathlib import Path

from accord.errors import AccordError

_ASIDE = ".aside-"
_STALE_SECONDS = 24 * 3600


def cache_folder(folder: Path | None = None, *, create: bool = True) -> Path:
    """Return the folder of token stores: one that can be written to, if `create` is set.

    Args:
        folder: the folder; default `$ACCORD_CACHE`, else `accord` in `$XDG_CACHE_HOME`, else
            `~/.cache/accord`.
        create: make it and try it; where that fails, warn and return a temporary one.
    """
    folder = folder or _default_folder()
    if not create:
        return folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        warnings.warn(
            f"the cache folder {folder} can't be written to ({error.strerror}): "
            "tokens go to a temporary folder, and are lost with this process",
            stacklevel=3,
        )
        return Path(_temporary().name)
    return folder


@contextmanager
def file_aside(folder: Path) -> Iterator[Path]:
    """Give a file of the folder to write to, and to rename; it is gone at the end if it wasn't.

    Raises:
        AccordError: the disk is full, or fails.
    """
    _sweep(folder)
    try:
        number, name = tempfile.mkstemp(prefix=_ASIDE, dir=folder)
        os.close(number)
        try:
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise AccordError(f"{folder}: can't write the token store: {error}") from error


def _sweep(folder: Path) -> None:
    """Remove what writers left behind that were killed a day ago or earlier."""
    for aside in folder.glob(f"{_ASIDE}*"):
        try:
            if time.time() - aside.stat().st_mtime > _STALE_SECONDS:
                aside.unlink()
        except OSError:
            continue


def _default_folder() -> Path:
    if named := os.environ.get("ACCORD_CACHE"):
        return Path(named).expanduser()
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "accord"
    return Path("~/.cache/accord").expanduser()


@once
def _temporary() -> tempfile.TemporaryDirectory[str]:
    # Held by this cache until the process ends; then Python removes the folder.
    return tempfile.TemporaryDirectory(prefix="accord-cache-", ignore_cleanup_errors=True)
