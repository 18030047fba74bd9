"""A folder that one process writes to at a time; the system lets go of it when the process ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from accord.errors import BusyError

LOCK = ".lock"
"""Holds nothing, or which process is writing to its folder, in words."""

TIME = "%Y-%m-%dT%H:%M:%SZ"
_SECONDS = 1.0  # that somebody who only looks at the lock may take


def now() -> str:
    """Return the time in UTC, to the second."""
    return time.strftime(TIME, time.gmtime())


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Be the one process that writes to a folder, which is there.

    Raises:
        BusyError: if another is, naming it.
        OSError: if nothing can be written there.
    """
    with (folder / LOCK).open("a", encoding="utf-8") as file:
        end = time.monotonic() + _SECONDS
        while not _lock(file):
            if time.monotonic() > end:
                raise busy(folder)
            time.sleep(0.02)
        try:
            _say(file, f"process {os.getpid()} on {socket.gethostname()} since {now()}")
            yield
        finally:
            _say(file, "")


def is_locked(folder: Path) -> bool:
    """Whether a process, on this machine, is writing to a folder."""
    try:
        with (folder / LOCK).open("r", encoding="utf-8") as file:
            return not _lock(file, fcntl.LOCK_SH)
    except OSError:
        return False


def busy(folder: Path) -> BusyError:
    """Return the error that names who is writing to a folder."""
    try:
        who = (folder / LOCK).read_text(encoding="utf-8")
    except (OSError, ValueError):
        who = ""
    return BusyError(f"{folder}: is being written to by {who or 'another process'}")


def _lock(file: IO[str], kind: int = fcntl.LOCK_EX) -> bool:
    """Try to lock an open file; it is unlocked as it is closed."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _say(file: IO[str], who: str) -> None:
    """Write who holds the lock, for others' messages: a full disk is no reason to stop."""
    with contextlib.suppress(OSError):
        os.ftruncate(file.fileno(), 0)
        os.write(file.fileno(), who.encode())
