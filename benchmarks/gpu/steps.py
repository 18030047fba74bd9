"""A training step in bfloat16, dropout on: beside transformers', over T, and at full load.

Ours adds up in one order, as a run does by default, and peers as torch does by default; one of ours
doesn't, for what that costs. Before a side is timed it has met each of its batches often enough for
all of a step to run from recordings.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from functools import cache, partial

from harness import Side, alternate, median_interval
from workload import OurStep, Workload, encoder, our_step, workload

from accord.kernels.matmul import MatmulPolicy
from accord.runs.estimate import matrix_rate, token_flops
from accord.training.recording import summary
from gpu.figures import Figure, Recorder, ratio
from gpu.inside import host, kernels, memory
from gpu.settings import Settings, clear, wait, waited

BATCHES = 4
SIGHTINGS = 4  # of a batch: as it is; passes recorded; their update recorded; all of it run again
WARMUP = 2
UNORDERED = "pcgrad in any order"
Build = Callable[[], Side]


def measure(recorder: Recorder, settings: Settings) -> None:
    """Measure all of it, what has a target first."""
    for size, examples, rounds in (
        ("bert-base", 32, 20), ("bert-base", 128, 15), ("minilm", 128, 15),
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
    work, name = drawn(settings, 3, 32), label(settings, "bert-base", 3, 32)
    ours = builders(settings, work, "bert-base", ("joint", "pcgrad"))
    recorder.check("host", partial(inside, host, recorder, settings, name, ours))
    recorder.check("kernels", partial(inside, kernels, recorder, settings, name, ours))
    work, name = drawn(settings, 3, 128), label(settings, "bert-base", 3, 128)
    every = builders(settings, work, "bert-base")
    recorder.check("memory", partial(inside, memory, recorder, settings, name, every))
    recorder.check(
        "minilm 3x32 beside peers", partial(beside_peers, recorder, settings, "minilm", 32, 15)
    )


def builders(
    settings: Settings, work: Workload, size: str, only: Sequence[str] = ()
) -> dict[str, Build]:
    """What makes each side, by its name: nothing is imported or built yet."""
    actual, device = settings.size(size), settings.device

    def ours(joint: bool, deterministic: bool = True) -> Side:
        return our_step(
            work, encoder(actual), joint=joint, bfloat16=True, device=device,
            deterministic=deterministic,
        )  # fmt: skip

    def peer(name: str, **options: bool) -> Side:
        import peers

        make = getattr(peers, f"transformers_{name}")
        return make(work, peers.bert(actual), fused=True, bfloat16=True, device=device, **options)

    every: dict[str, Build] = {
        "joint": partial(ours, joint=True),
        "pcgrad": partial(ours, joint=False),
        UNORDERED: partial(ours, joint=False, deterministic=False),
        "one padded batch per task": partial(peer, "step"),
        "one padded batch": partial(peer, "one_batch_step"),
        "lean pcgrad": partial(peer, "lean_pcgrad_step"),
    }
    if settings.compiled:
        every["one padded batch compiled"] = partial(peer, "one_batch_step", compiled=True)
    return {name: each for name, each in every.items() if not only or name in only}


def settled(build: Build, settings: Settings) -> Side:
    """Build a side, and let it meet its batches as often as it takes to be at full speed."""
    side = build()
    times = SIGHTINGS if settings.gpu and isinstance(side, OurStep) else 1
    for step in range(times * BATCHES):
        side(step)
    wait(settings.device)
    return side


def built(
    recorder: Recorder, settings: Settings, name: str, builds: dict[str, Build]
) -> dict[str, Side]:
    """Build sides and settle each; one that fails is told, and left out."""
    sides = {}
    for side, build in builds.items():
        try:
            sides[side] = settled(build, settings)
        except ModuleNotFoundError as error:
            recorder.fault(f"{name} {side}: left out, as {error.name} is missing", error)
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
    return workload(settings.data, tasks=tasks, batch_size=count, batches=BATCHES, pooling="cls")


def timed(
    recorder: Recorder, settings: Settings, name: str, work: Workload, builds: dict[str, Build],
    rounds: int,
) -> dict[str, list[float]]:  # fmt: skip
    """Time sides in turn; add each one's milliseconds, and tokens per second of PCGrad."""
    sides = built(recorder, settings, name, builds)
    waiting = {side: waited(step, settings.device) for side, step in sides.items()}
    seconds = alternate(waiting, settings.rounds(rounds), WARMUP if settings.gpu else 0)
    for side, second in seconds.items():
        low, high = median_interval(second)
        value = statistics.median(second) * 1e3
        recorder.add(Figure(f"{name} {side} ms", value, interval=(low * 1e3, high * 1e3)))
    for side, step in sides.items():
        if isinstance(step, OurStep) and settings.gpu:
            recorder.details[f"{name} {side}"] = summary(step.learner.recorder)
    tokens = statistics.fmean(batch.tokens for batch in work.batches)
    if "pcgrad" in seconds:
        rate = tokens / statistics.median(seconds["pcgrad"])
        recorder.add(Figure(f"{name} pcgrad tokens/s", rate, note=f"{tokens:.0f} tokens"))
    if {"pcgrad", "joint"} <= seconds.keys():
        recorder.add(ratio(f"{name} pcgrad / joint", seconds["pcgrad"], seconds["joint"]))
    if {"pcgrad", UNORDERED} <= seconds.keys():
        recorder.add(ratio(f"{name} in one order / any", seconds["pcgrad"], seconds[UNORDERED]))
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
    """Time our two steps on a large batch, and say what share of its rate the device reaches: by
    the linear layers' products over real tokens alone."""
    seconds = surgery(recorder, settings, size, 3, examples)
    if "pcgrad" not in seconds or not settings.gpu:
        return
    work, name = drawn(settings, 3, examples), label(settings, size, 3, examples)
    tokens = statistics.fmean(batch.tokens for batch in work.batches)
    rate = matrix_rate(settings.device, MatmulPolicy(bfloat16=True))
    done = 3 * token_flops(encoder(settings.size(size)).config, 0.0) * tokens
    reached = done / statistics.median(seconds["pcgrad"])
    recorder.add(
        Figure("dense bfloat16 TFLOP/s", rate / 1e12),
        Figure(
            f"{name} share of the dense rate", reached / rate, note=f"{reached / 1e12:.0f} TFLOP/s"
        ),
    )


def surgery(
    recorder: Recorder, settings: Settings, size: str, tasks: int, examples: int
) -> dict[str, list[float]]:
    """Time our two steps for so many tasks."""
    work, name = drawn(settings, tasks, examples), label(settings, size, tasks, examples)
    ours = builders(settings, work, size, ("joint", "pcgrad"))
    seconds = timed(recorder, settings, name, work, ours, 12)
    clear(settings.device)
    return seconds


def inside(
    look: Callable[[Recorder, Settings, str, Side], object], recorder: Recorder,
    settings: Settings, name: str, builds: dict[str, Build],
) -> None:  # fmt: skip
    """Look into each side's step, alone on the device."""
    for side, build in builds.items():
        clear(settings.device)
        look(recorder, settings, f"{name} {side}", partial(settled, build, settings))
    clear(settings.device)
