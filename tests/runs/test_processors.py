"""Which processors a process may use, by a fake file system, and how many threads it takes."""

import os

import pytest
import torch

from accord.grids.workers import _set_threads
from accord.runs import processors
from accord.runs.devices import choose_device
from accord.runs.processors import cap_threads, cpu_quota, default_threads

VERSION_1 = {
    "proc/self/cgroup": "9:name=systemd:/\n4:cpu,cpuacct:/x\n0::/\n",
    "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "{}\n",
    "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000\n",
}
VERSION_2 = {"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": "{} 100000\n"}


def write(root, **files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine of 64 cores, of which torch takes 32, whose process has a quota of so many."""
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)

    def make(files, quota):
        torch.set_num_threads(32)
        root = tmp_path / f"{len(files)}-{quota}"
        write(root, **{name: text.format(quota) for name, text in files.items()})
        return root

    return make


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/\n"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/cpu.max": "400000 100000\n",
                "sys/fs/cgroup/a/cpu.max": "200000 100000\n",
            },
            2.0,
        ),
        (
            {
                "proc/self/cgroup": "9:name=systemd:/\n4:cpu,cpuacct:/x\n0::/\n",
                "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "50000\n",
                "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000\n",
            },
            0.5,
        ),
        (
            {
                "proc/self/cgroup": "1:cpu:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
        ({"proc/self/cgroup": "nonsense\n"}, None),
    ],
)
def test_the_quota_of_processor_time(tmp_path, files, quota):
    write(tmp_path, **files)
    assert cpu_quota(tmp_path) == quota


@pytest.mark.parametrize("files", [VERSION_1, VERSION_2], ids=["version 1", "version 2"])
def test_torch_takes_no_more_threads_than_the_quota_has_processors(machine, monkeypatch, files):
    none = "max" if files is VERSION_2 else "-1"
    for quota, threads in (("200000", 2), ("150000", 2), ("5000", 1), ("6400000", 32), (none, 32)):
        root = machine(files, quota)
        cap_threads(root)
        assert torch.get_num_threads() == threads, quota
        torch.set_num_threads(7)
        cap_threads(root)  # what was set since stays
        assert torch.get_num_threads() == 7
    monkeypatch.setenv("OMP_NUM_THREADS", "32")
    cap_threads(machine(files, "300000"))
    assert torch.get_num_threads() == 32


@pytest.mark.parametrize("files", [VERSION_1, VERSION_2], ids=["version 1", "version 2"])
def test_workers_share_the_quota(machine, files):
    for quota, workers, threads in (("800000", 3, 2), ("200000", 4, 1), ("6400000", 4, 16)):
        assert default_threads(workers, machine(files, quota)) == threads
    assert default_threads(4, machine({}, "none")) == 16


def test_a_run_has_the_threads_that_were_asked_for_else_the_quota_s(machine, monkeypatch):
    machine({}, "")
    monkeypatch.setattr(processors, "cpu_quota", lambda root: 2.0)
    for asked, threads in ((None, 2), (5, 5)):
        torch.set_num_threads(32)
        cap_threads.cache_clear()
        if asked is not None:
            _set_threads(asked)
        choose_device("cpu")
        assert torch.get_num_threads() == threads
