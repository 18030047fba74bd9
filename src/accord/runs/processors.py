"""How many processors this process may use, and so how many threads it takes by default."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path("/")


def allowed_cpus() -> range | set[int]:
    """Return the logical cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return range(os.cpu_count() or 1)


def cpu_quota(root: Path = ROOT) -> float | None:
    """Return the processor time that this process's control groups have, in seconds per second.

    Args:
        root: of the file system.

    Returns:
        The least of its group and those around it; None: no limit.
    """
    quotas = []
    for group in control_groups("cpu", root):
        words = text_of(group / "cpu.max").split() or [
            text_of(group / name) for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        ]
        if len(words) == 2 and all(word.isdigit() and int(word) for word in words):
            quotas.append(int(words[0]) / int(words[1]))
    return min(quotas, default=None)


def usable_cpus(allowed: int, quota: float | None) -> int:
    """Return how many logical cores this process can keep busy.

    Args:
        allowed: how many it may run on.
        quota: as `cpu_quota` gives it.

    Example:
        >>> usable_cpus(64, 2.0), usable_cpus(64, 0.5), usable_cpus(4, None)
        (2, 1, 4)
    """
    return int(min(allowed, math.inf if quota is None else max(1, math.ceil(quota))))


def default_threads(workers: int, root: Path = ROOT) -> int:
    """Return the threads of each of several workers that share this process's processors."""
    return max(1, usable_cpus(len(allowed_cpus()), cpu_quota(root)) // workers)


@cache
def cap_threads(root: Path = ROOT) -> None:
    """Let torch take no more threads than this process can keep busy; OMP_NUM_THREADS goes before.

    Torch counts the machine's cores, which a container's quota may be far below. Only the first
    call does anything, so that a number that is set afterwards stays.

    Args:
        root: of the file system.
    """
    import torch

    usable = default_threads(1, root)
    if usable < torch.get_num_threads() and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(usable)


def control_groups(controller: str, root: Path = ROOT) -> Iterator[Path]:
    """Yield the folders of this process's control group and those around it.

    Version 2 names no controllers and has one tree for all, version 1 a tree for each.

    Args:
        controller: `cpu` or `memory`.
        root: of the file system.
    """
    for line in text_of(root / "proc/self/cgroup").splitlines():
        _, controllers, name = [*line.split(":", 2), "", ""][:3]
        if controllers and controller not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / (controller if controllers else "")
        group = Path(name.lstrip("/"))
        yield from (mount / folder for folder in (group, *group.parents))


def text_of(file: Path) -> str:
    """Return what a file of the system says; nothing where it can't be read."""
    try:
        return file.read_text().strip()
    except (OSError, ValueError):
        return ""
