"""The memory that a step frees: kept for the next step, and tidied once in a while."""

from __future__ import annotations

import contextlib
import ctypes
import resource
import sys
from pathlib import Path

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # glibc's malloc.h
_MIB = 1 << 20


def keep_freed_memory() -> bool:
    """Tell glibc's allocator to keep freed blocks.

    Every step frees and asks for the same large blocks. By default the larger ones go back
    to the system, and each new one costs a page fault every 4 KiB: ten times what writing
    to it costs. Changes this process for good.

    Returns:
        Whether it took effect: it does with glibc on Linux alone.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = ((_MMAP_THRESHOLD, 32 * _MIB), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 64 * _MIB))
    return all(mallopt(name, value) == 1 for name, value in settings)


def release_freed_memory() -> None:
    """Give what is free now back to the system, wherever it lies.

    Steps of ever-changing sizes leave gaps in a heap that only grows. Called once in a while,
    this keeps the gaps from adding up, and the next step's page faults are few among many.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def restart_peak() -> None:
    """Let `peak_memory_bytes` count from here, where the system can: on Linux."""
    release_freed_memory()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM


def peak_memory_bytes() -> int:
    """Return the most memory that this process has held since `restart_peak`, or ever, in bytes."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
