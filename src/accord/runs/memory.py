"""Memory: how much there is, what this process holds, and what a step frees, kept for the next."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from dataclasses import dataclass
from pathlib import Path

from accord.runs.processors import control_groups, text_of

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # glibc's malloc.h
_MIB = 1 << 20


@dataclass(frozen=True)
class Memory:
    """Memory that this process may use: the machine's, or its control group's where that is less.

    Attributes:
        total_bytes: None if unknown.
        available_bytes: that can be had without swapping; None if unknown.
    """

    total_bytes: int | None
    available_bytes: int | None


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
    """Return the most memory that this process has held since `restart_peak`, or ever, in bytes;
    0 where the system doesn't say."""
    if "VmHWM" in (held := _numbers(Path("/proc/self/status"))):
        return held["VmHWM"] * 1024
    try:
        import resource
    except ImportError:  # on Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def held_bytes() -> int:
    """Return the memory that this process holds now; 0 where the system doesn't say."""
    return _numbers(Path("/proc/self/status")).get("VmRSS", 0) * 1024


def examine_memory(root: Path = Path("/")) -> Memory:
    """Find out about memory.

    Args:
        root: of the file system.
    """
    table = _numbers(root / "proc/meminfo")
    totals = [table[name] * 1024 for name in ("MemTotal",) if name in table]
    available = [table[name] * 1024 for name in ("MemAvailable",) if name in table]
    for group in control_groups("memory", root):
        limit = _number(group, "memory.max", "memory.limit_in_bytes")
        used = _number(group, "memory.current", "memory.usage_in_bytes")
        if limit is not None and used is not None:
            stat = _numbers(group / "memory.stat")
            given_back = stat.get("total_inactive_file", stat.get("inactive_file", 0))
            totals.append(limit)
            available.append(max(0, limit - max(0, used - given_back)))
    return Memory(min(totals, default=None), min(available, default=None))


def _number(folder: Path, *names: str) -> int | None:
    """Return the number that the first of some files holds."""
    texts = (text_of(folder / name) for name in names)
    return next((int(text) for text in texts if text.isdigit()), None)


def _numbers(file: Path) -> dict[str, int]:
    """Return the numbers of lines such as `MemTotal:  24683656 kB`."""
    lines = [line.replace(":", " ").split() for line in text_of(file).splitlines()]
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdigit()}
