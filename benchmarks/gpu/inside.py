"""What a step is made of: the host's share, kernels and their time, memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from unittest.mock import patch

import torch
from harness import Side
from torch.profiler import ProfilerActivity, profile

from accord.training.measurement import Measurement, Passed
from gpu.figures import Figure, Recorder
from gpu.settings import Settings, wait

TRIED = 4  # steps: one of each batch
HOST_STEPS = 20
Settled = Callable[[], Side]


def host(recorder: Recorder, settings: Settings, name: str, settled: Settled) -> None:
    """Time what of a step the host does while the GPU has nothing to do: all of it but the wait for
    what the passes measured, from an idle GPU to the last launch."""
    step, spent = settled(), []
    for i in range(HOST_STEPS if settings.gpu else 2):
        wait(settings.device)
        start = time.perf_counter()
        with Waits(settings.device) as waits:
            step(i)
        spent.append(time.perf_counter() - start - waits.seconds)
    recorder.add(Figure(f"{name} host ms", statistics.median(spent) * 1e3))


class Waits:
    """Takes the time for which a step's one fetch waits for the device.

    Attributes:
        seconds: that it waited.
    """

    def __init__(self, device: torch.device) -> None:
        self.seconds = 0.0
        plain = Passed.measured

        def measured(passed: Passed) -> Measurement:
            start = time.perf_counter()
            wait(device)
            self.seconds += time.perf_counter() - start
            return plain(passed)

        self._patch = patch.object(Passed, "measured", measured)

    def __enter__(self) -> Waits:
        self._patch.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._patch.stop()


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
