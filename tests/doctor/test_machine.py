"""How the system's values are read: processor and memory."""

import os

import pytest

from accord.doctor import Memory
from accord.doctor.machine import examine_processor
from accord.runs.memory import examine_memory

GIB = 1 << 30


def write(root, **files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


MEMINFO = "MemTotal:       8388608 kB\nMemFree:        1 kB\nMemAvailable:   4194304 kB\n"


@pytest.mark.parametrize(
    ("files", "total", "available"),
    [
        ({}, None, None),
        ({"proc/meminfo": MEMINFO}, 8 * GIB, 4 * GIB),
        (  # a container's limit; pages of files that nobody uses are given back
            {
                "proc/meminfo": MEMINFO,
                "proc/self/cgroup": "0::/\n",
                "sys/fs/cgroup/memory.max": f"{2 * GIB}\n",
                "sys/fs/cgroup/memory.current": f"{GIB}\n",
                "sys/fs/cgroup/memory.stat": f"anon 5\ninactive_file {GIB // 2}\n",
            },
            2 * GIB,
            3 * GIB // 2,
        ),
        (  # no limit, as version 1 says it
            {
                "proc/meminfo": MEMINFO,
                "proc/self/cgroup": "4:memory:/x\n",
                "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "9223372036854771712\n",
                "sys/fs/cgroup/memory/x/memory.usage_in_bytes": "5\n",
            },
            8 * GIB,
            4 * GIB,
        ),
    ],
)
def test_memory_is_the_least_that_any_limit_leaves(tmp_path, files, total, available):
    write(tmp_path, **files)
    assert examine_memory(tmp_path) == Memory(total, available)


def test_physical_cores_are_counted_once(tmp_path, monkeypatch):
    """Two logical cores each."""
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2}, raising=False)
    siblings = "sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    shared = {siblings.format(cpu): f"{cpu % 2},{cpu % 2 + 2}\n" for cpu in range(4)}
    write(tmp_path, **shared)
    actual = examine_processor(tmp_path)
    assert (actual.physical_cores, actual.logical_cores) == (2, 4)
    assert (actual.affinity_cpus, actual.affinity_cores) == (3, 2)
    assert (actual.usable_cpus, actual.useful_threads) == (3, 2)


def test_a_system_that_says_nothing(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.delattr(os, "getloadavg", raising=False)
    actual = examine_processor(tmp_path)
    assert (actual.physical_cores, actual.quota_cpus, actual.load_average) == (None, None, None)
    assert actual.useful_threads == actual.logical_cores
