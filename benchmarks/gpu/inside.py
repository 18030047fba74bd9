"""What a step is made of: the host's share, kernels and their time, memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import torch
from harness import Side
from torch.profiler import ProfilerActivity, profile

from accord.kernels.recorder import Recorder as StepRecorder
from accord.training.measurement import Measurement, Passed
from gpu.figures import Figure, Recorder
from gpu.settings import Settings, wait

TRIED = 4  # steps: one of each batch
HOST_STEPS = 20
Settled = Callable[[], Side]


def host(recorder: Recorder, settings: Settings, name: str, settled: Settled) -> None:
    """Time what the host does of a step whose batch is packed: all of it but the wait for what the
    passes measured, and the longest stretch of that between two recordings that run."""
    step, spent, longest = settled(), [], []
    for i in range(HOST_STEPS if settings.gpu else 2):
        wait(settings.device)
        with Marks(settings.device) as marks:
            start = time.perf_counter()
            step(i)
            stop = time.perf_counter()
        spent.append(stop - start - marks.waited)
        longest.append(max(marks.stretches(start, stop)))
    recorder.add(
        Figure(f"{name} host ms", statistics.median(spent) * 1e3),
        Figure(f"{name} host ms between replays", statistics.median(longest) * 1e3),
    )


class Marks:
    """Notes when recordings run, and when a step waits for what its passes measured.

    Attributes:
        waits: (start, stop) of each wait.
        runs: (start, stop) of each recording's copies and launch.
    """

    def __init__(self, device: torch.device) -> None:
        self.waits: list[tuple[float, float]] = []
        self.runs: list[tuple[float, float]] = []
        fetch, again = Passed.measured, StepRecorder._again

        def measured(passed: Passed) -> Measurement:
            start = time.perf_counter()
            wait(device)
            self.waits.append((start, time.perf_counter()))
            return fetch(passed)

        def run(ours: StepRecorder, *given: Any) -> Any:
            start = time.perf_counter()
            ran = again(ours, *given)
            self.runs.append((start, time.perf_counter()))
            return ran

        self._patches = (
            patch.object(Passed, "measured", measured), patch.object(StepRecorder, "_again", run)
        )  # fmt: skip

    def __enter__(self) -> Marks:
        for each in self._patches:
            each.start()
        return self

    def __exit__(self, *error: object) -> None:
        for each in self._patches:
            each.stop()

    @property
    def waited(self) -> float:
        """Seconds of all waits."""
        return sum(stop - start for start, stop in self.waits)

    def stretches(self, start: float, stop: float) -> list[float]:
        """The seconds between what was noted, from a start to a stop."""
        noted = sorted([*self.waits, *self.runs])
        ends = [start, *(end for _, end in noted)]
        begins = [*(begin for begin, _ in noted), stop]
        return [begin - end for end, begin in zip(ends, begins, strict=True)]


def kernels(recorder: Recorder, settings: Settings, name: str, settled: Settled) -> None:
    """Count a step's kernels, and the time that they keep the GPU busy."""
    kind = ProfilerActivity.CUDA if settings.gpu else ProfilerActivity.CPU
    step = settled()
    with profile(activities=[kind]) as profiler:
        for i in range(TRIED):
            step(i)
        wait(settings.device)
    spent = {
        event.key: (
            event.self_device_time_total if settings.gpu else event.self_cpu_time_total,
            event.count,
        )
        for event in profiler.key_averages()
    }
    worked = {key: each for key, each in spent.items() if each[0] > 0}
    recorder.add(
        Figure(f"{name} kernels", sum(n for _, n in worked.values()) / TRIED),
        Figure(f"{name} busy ms", sum(us for us, _ in worked.values()) / TRIED / 1e3),
    )
    largest = sorted(worked.items(), key=lambda each: -each[1][0])[:12]
    recorder.details[f"{name}: largest kernels, ms per step"] = {
        key[:60]: [round(us / TRIED / 1e3, 3), n // TRIED] for key, (us, n) in largest
    }


def memory(recorder: Recorder, settings: Settings, name: str, settled: Settled) -> None:
    """Take a side's peak of the device's memory."""
    if not settings.gpu:
        return
    torch.cuda.reset_peak_memory_stats(settings.device)
    before = torch.cuda.memory_allocated(settings.device)
    step = settled()
    for i in range(TRIED):
        step(i)
    wait(settings.device)
    peak = torch.cuda.max_memory_allocated(settings.device) - before
    recorder.add(Figure(f"{name} peak GiB", peak / 2**30))
