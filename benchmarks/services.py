"""Services as processes, and whether the machine is idle enough to measure them."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

HERE = Path(__file__).parent
LEAST_WORK = 1.9  # of two busy loops, each on a core of its own, over one


@dataclass
class Process:
    """A service's process.

    Attributes:
        process: itself.
        port: where it listens.
    """

    process: subprocess.Popen[str]
    port: int

    def cpu_seconds(self) -> float:
        """Processor time that it took."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def mebibytes(self) -> float:
        """Memory that it holds now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def started(*command: object) -> Process:
    """Start a service, and wait until it listens."""
    process = subprocess.Popen(
        [sys.executable, *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, cwd=HERE, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    said = []
    for line in process.stdout:  # type: ignore[union-attr]
        said.append(line)
        if found := re.search(r"listening at http://127\.0\.0\.1:(\d+)", line):
            threading.Thread(target=process.communicate, daemon=True).start()
            return Process(process, int(found[1]))
    raise SystemExit(f"a service didn't start: {''.join(said)}")


def serve(folder: Path, *options: object) -> Process:
    """Start `accord serve`."""
    command = "from accord.cli import main; main()"
    return started("-c", command, "serve", folder, "--port", 0, *options)


@contextlib.contextmanager
def running(processes: dict[str, list[Process]]) -> Iterator[dict[str, list[Process]]]:
    """End services when they are no longer needed."""
    try:
        yield processes
    finally:
        for each in chain.from_iterable(processes.values()):
            each.process.kill()
            each.process.wait()


def two_cores() -> float:
    """Return how much more work two busy loops do than one, each pinned to a core of its own."""
    loop = (
        "import os, sys, time\nos.sched_setaffinity(0, {int(sys.argv[1])})\nn, end = 0, "
        "time.perf_counter() + 1\nwhile time.perf_counter() < end: n += 1\nprint(n)"
    )

    def counted(*cores: int) -> int:
        each = [
            subprocess.Popen(
                [sys.executable, "-c", loop, str(core)], stdout=subprocess.PIPE, text=True
            )
            for core in cores
        ]
        return sum(int(one.communicate()[0]) for one in each)

    first, second = sorted(os.sched_getaffinity(0))[:2]
    return 2 * counted(first, second) / (counted(first) + counted(second))


def until_idle() -> float:
    """Wait until both cores are ours; return `two_cores`."""
    if os.environ.get("BUSY"):  # to try the script: its figures are worth nothing
        return float("nan")
    for _ in range(60):
        if (work := two_cores()) >= LEAST_WORK:
            return work
        time.sleep(5)
    raise SystemExit(f"two cores do only {work:.2f} times the work of one: nothing to measure here")
