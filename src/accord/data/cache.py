"""The cache folder, and entries that appear in it whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
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


def publish(entry: Path, write: Callable[[Path], None]) -> Path:
    """Fill a new folder aside and rename it to `entry`, so that no reader sees half of it.

    Args:
        entry: the folder's final name; what stands there is replaced.
        write: fills the empty folder that it is given.

    Returns:
        `entry`.

    Raises:
        AccordError: the disk is full, or fails.
    """
    _sweep(entry.parent)
    aside = Path(tempfile.mkdtemp(prefix=_ASIDE, dir=entry.parent))
    try:
        write(aside)
        _replace(aside, entry)
    except OSError as error:
        raise AccordError(f"{entry.parent}: can't write the token store: {error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return entry


def _replace(aside: Path, entry: Path) -> None:
    # A folder can't be renamed onto one that holds files, so what stands there makes way first.
    if entry.exists():
        old = Path(tempfile.mkdtemp(prefix=_ASIDE, dir=entry.parent))
        entry.rename(old / "old")
        shutil.rmtree(old, ignore_errors=True)
    try:
        aside.rename(entry)
    except OSError:
        # Another process wrote the same content in between: its entry is as good as ours.
        if not (entry / "store.json").exists():
            raise


def _sweep(folder: Path) -> None:
    """Remove what writers left behind that were killed a day ago or earlier."""
    for aside in folder.glob(f"{_ASIDE}*"):
        try:
            if time.time() - aside.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(aside, ignore_errors=True)
        except OSError:
            continue


def _default_folder() -> Path:
    if own := os.environ.get("ACCORD_CACHE"):
        return Path(own).expanduser()
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "accord"
    return Path("~/.cache/accord").expanduser()


@once
def _temporary() -> tempfile.TemporaryDirectory[str]:
    # Held by this cache until the process ends; then Python removes the folder.
    return tempfile.TemporaryDirectory(prefix="accord-cache-", ignore_cleanup_errors=True)
