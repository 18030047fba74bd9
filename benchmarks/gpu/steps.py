"""A training step in bfloat16, dropout on: beside transformers', over T, memory, kernels."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from functools import cache, partial

import torch
from harness import Side, alternate, median_interval
from torch.profiler import ProfilerActivity, profile
from workload import Workload, encoder, our_step, workload

from gpu.figures import Figure, Recorder, ratio
from gpu.settings import Settings, clear, wait, waited

WARMUP, TRIED = 4, 3
Build = Callable[[], Side]


def measure(recorder: Recorder, settings: Settings) -> None:
    """Measure all of it, what has a target first."""
    for size, examples, rounds in (
        ("bert-base", 32, 20), ("bert-base", 128, 15), ("minilm", 128, 15), ("minilm", 32, 15),
    ):  # fmt: skip
        recorder.check(
            f"{size} 3x{examples} beside peers",
            partial(beside_peers, recorder, settings, size, examples, rounds),
        )
    recorder.check("bert-base 3x512", partial(alone, recorder, settings, "bert-base", 512))
    for tasks, examples in ((8, 12), (32, 3)):
        recorder.check(
            f"surgery at T = {tasks}",
            partial(surgery, recorder, settings, "bert-base", tasks, examples),
        )
    recorder.check("kernels", partial(kernels, recorder, settings, "bert-base", 32))
    recorder.check("memory", partial(memory, recorder, settings, "bert-base", 128))


def builders(
    settings: Settings, work: Workload, size: str, only: Sequence[str] = ()
) -> dict[str, Build]:
    """What makes each side, by its name: nothing is imported or built yet."""
    actual, device = settings.size(size), settings.device

    def ours(joint: bool) -> Side:
        return our_step(work, encoder(actual), joint=joint, bfloat16=True, device=device)

    def peer(name: str, **options: bool) -> Side:
        import peers

        make = getattr(peers, f"transformers_{name}")
        return make(work, peers.bert(actual), fused=True, bfloat16=True, device=device, **options)

    every: dict[str, Build] = {
        "joint": partial(ours, joint=True),
        "pcgrad": partial(ours, joint=False),
        "one padded batch per task": partial(peer, "step"),
        "one padded batch": partial(peer, "one_batch_step"),
        "lean pcgrad": partial(peer, "lean_pcgrad_step"),
    }
    if settings.compiled:
        every["one padded batch compiled"] = partial(peer, "one_batch_step", compiled=True)
    return {name: each for name, each in every.items() if not only or name in only}


def built(
    recorder: Recorder, settings: Settings, name: str, builds: dict[str, Build]
) -> dict[str, Side]:
    """Build sides and try each; one that fails is told, and left out."""
    sides = {}
    for side, build in builds.items():
        try:
            made = waited(build(), settings.device)
            made(0)
            sides[side] = made
        except Exception as error:
            recorder.fault(f"{name} {side}", error)
    return sides


def label(settings: Settings, size: str, tasks: int, examples: int) -> str:
    """Name a workload as it really is."""
    return f"{settings.size(size)} {tasks}x{settings.examples(examples)}"


@cache
def drawn(settings: Settings, tasks: int, examples: int) -> Workload:
    """Draw its batches."""
    count = settings.examples(examples)
    return workload(settings.data, tasks=tasks, batch_size=count, pooling="cls")


def timed(
    recorder: Recorder, settings: Settings, name: str, work: Workload, builds: dict[str, Build],
    rounds: int,
) -> dict[str, list[float]]:  # fmt: skip
    """Time sides in turn; add each one's milliseconds, and tokens per second of PCGrad."""
    sides = built(recorder, settings, name, builds)
    seconds = alternate(sides, settings.rounds(rounds), WARMUP if settings.gpu else 0)
    for side, second in seconds.items():
        low, high = median_interval(second)
        value = statistics.median(second) * 1e3
        recorder.add(Figure(f"{name} {side} ms", value, interval=(low * 1e3, high * 1e3)))
    tokens = statistics.fmean(batch.tokens for batch in work.batches)
    if "pcgrad" in seconds:
        rate = tokens / statistics.median(seconds["pcgrad"])
        recorder.add(Figure(f"{name} pcgrad tokens/s", rate, note=f"{tokens:.0f} tokens"))
    if {"pcgrad", "joint"} <= seconds.keys():
        recorder.add(ratio(f"{name} pcgrad / joint", seconds["pcgrad"], seconds["joint"]))
    return seconds


def beside_peers(
    recorder: Recorder, settings: Settings, size: str, examples: int, rounds: int
) -> None:
    """Time ours and the peers in one process, in turn."""
    work, name = drawn(settings, 3, examples), label(settings, size, 3, examples)
    seconds = timed(recorder, settings, name, work, builders(settings, work, size), rounds)
    pairs = [("lean pcgrad", "pcgrad"), ("one padded batch per task", "joint"),
             ("one padded batch", "joint"), ("one padded batch compiled", "joint")]  # fmt: skip
    for peer, each in pairs:
        if {peer, each} <= seconds.keys():
            recorder.add(ratio(f"{name} {peer} / {each}", seconds[peer], seconds[each]))
    clear(settings.device)


def alone(recorder: Recorder, settings: Settings, size: str, examples: int) -> None:
    """Time our two steps on a large batch."""
    surgery(recorder, settings, size, 3, examples)


def surgery(recorder: Recorder, settings: Settings, size: str, tasks: int, examples: int) -> None:
    """Time our two steps for so many tasks."""
    work, name = drawn(settings, tasks, examples), label(settings, size, tasks, examples)
    timed(recorder, settings, name, work, builders(settings, work, size, ("joint", "pcgrad")), 12)
    clear(settings.device)


def kernels(recorder: Recorder, settings: Settings, size: str, examples: int) -> None:
    """Count a step's kernels, and the time that they keep the GPU busy."""
    work, name = drawn(settings, 3, examples), label(settings, size, 3, examples)
    kind = ProfilerActivity.CUDA if settings.gpu else ProfilerActivity.CPU
    for side, build in builders(settings, work, size, ("joint", "pcgrad")).items():
        step = waited(build(), settings.device)
        for i in range(TRIED):
            step(i)
        with profile(activities=[kind]) as profiler:
            for i in range(TRIED):
                step(i)
        spent = {
            event.key: (
                event.self_device_time_total if settings.gpu else event.self_cpu_time_total,
                event.count,
            )
            for event in profiler.key_averages()
        }
        worked = {key: each for key, each in spent.items() if each[0] > 0}
        recorder.add(
            Figure(f"{name} {side} kernels", sum(n for _, n in worked.values()) / TRIED),
            Figure(f"{name} {side} busy ms", sum(us for us, _ in worked.values()) / TRIED / 1e3),
        )
        largest = sorted(worked.items(), key=lambda each: -each[1][0])[:12]
        recorder.details[f"{name} {side}: largest kernels, ms per step"] = {
            key[:60]: [round(us / TRIED / 1e3, 3), n // TRIED] for key, (us, n) in largest
        }
        del step
    clear(settings.device)


def memory(recorder: Recorder, settings: Settings, size: str, examples: int) -> None:
    """Take each side's peak of the device's memory, alone there."""
    if not settings.gpu:
        return
    work, name = drawn(settings, 3, examples), label(settings, size, 3, examples)
    for side, build in builders(settings, work, size).items():
        clear(settings.device)
        torch.cuda.reset_peak_memory_stats(settings.device)
        before = torch.cuda.memory_allocated(settings.device)
        step = build()
        for i in range(TRIED):
            step(i)
        wait(settings.device)
        peak = torch.cuda.max_memory_allocated(settings.device) - before
        recorder.add(Figure(f"{name} {side} peak GiB", peak / 2**30))
        del step
