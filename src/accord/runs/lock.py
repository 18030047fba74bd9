"""A folder that one process writes to at a time; the system lets go of it when the process ends."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from accord.errors import BusyError

LOCK, HOLDER = ".lock", ".holder"
"""The file that is locked, and beside it which process is writing to the folder, in words."""

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
    lock, holder = FileLock(folder / LOCK), folder / HOLDER
    try:
        lock.acquire(timeout=_SECONDS, poll_interval=0.02)
    except Timeout:
        raise busy(folder) from None
    try:
        with contextlib.suppress(OSError):  # a full disk is no reason to stop
            holder.write_text(f"process {os.getpid()} on {socket.gethostname()} since {now()}")
        yield
    finally:
        with contextlib.suppress(OSError):
            holder.unlink()
        lock.release()


def is_locked(folder: Path) -> bool:
    """Whether a process, on this machine, is writing to a folder."""
    if not (folder / LOCK).is_file():
        return False
    try:
        import fcntl
    except ImportError:
        return _is_locked_elsewhere(folder / LOCK)
    try:
        with (folder / LOCK).open("rb") as file:  # which needs no right to write
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _is_locked_elsewhere(lock: Path) -> bool:
    """Whether a file is locked, on Windows, by locking it: nobody else can meanwhile."""
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False


def busy(folder: Path) -> BusyError:
    """Return the error that names who is writing to a folder."""
    try:
        who = (folder / HOLDER).read_text(encoding="utf-8")
    except (OSError, ValueError):
        who = "another process"
    return BusyError(f"{folder}: is being written to by {who}")
