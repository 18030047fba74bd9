"""Break runs in every way that can be arranged, resume them, and compare with runs left alone.

    python tests/end_to_end/faults.py [--kills N] [--every N] [--damages N] [--repeats N]
                                      [--seed N] [--device cpu|cuda] [--output FILE]

kills     SIGKILL at a random moment, in runs of every batching and gradient method, float32 and
          bfloat16, dropout on, and of frozen encoders
phases    SIGKILL in an evaluation, and in the middle of a save, once in each kind of run
points    SIGKILL at every N-th of the operations that `accord.durable` announces
full      the disk is full from such an operation on
damages   a checkpoint's file cut, removed, or with one bit flipped
repeats   runs of one seed that nobody breaks

Each case is a process forked from this one, which has imported everything; so a case takes about
a second. On a GPU each also starts CUDA, as this one must not: a forked process could not use it
then. A case fails if the run's folder in the end differs in a byte or by a file, timings and
logs apart, or if anything but one of Accord's own errors comes up.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from projects import folder_of, write_encoder, write_project

from accord.config.file import load_config
from accord.durable import FAULT, MANIFEST
from accord.errors import AccordError
from accord.evaluation import dev as evaluating
from accord.plan.making import plan_run
from accord.runs.folder import RunFolder
from accord.training.checkpoint import FILES, checkpoints
from accord.training.run import resume_run, start_run

FINE, REFUSED, WRONG = 0, 3, 4  # exit codes of a case's process
VARIANTS = [
    {
        "training.batching": batching,
        "training.gradients": gradients,
        "training.precision": precision,
    }
    for batching, gradients, precision in itertools.product(
        ("finish-largest", "finish-smallest", "proportional"),
        ("pcgrad", "sum"),
        ("float32", "bfloat16"),
    )
] + [
    {"training.batching": batching, "encoder.mode": "frozen"}
    for batching in ("finish-largest", "finish-smallest", "proportional")
]
EVERY_STEPS = 4  # between checkpoints
IN_EVALUATION = "FAULTS_IN_EVALUATION"


@dataclass
class Bench:
    """A project for each variant, and what its run leaves when nobody breaks it.

    Args:
        folder: where all is written.
        device: that runs take.
    """

    folder: Path
    device: str = "cpu"
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    most_lost: int = 0

    def __post_init__(self) -> None:
        torch.set_num_threads(1)
        os.environ["ACCORD_CACHE"] = str(self.folder / "cache")
        self.encoder = write_encoder(self.folder / "encoder")
        for name in ("scipy.stats", "sklearn.metrics", "torch._dynamo"):  # seconds, paid once here
            importlib.import_module(name)
        self._wanted: dict[int, dict] = {}
        self._runs = itertools.count()

    def config(self, variant: int) -> Path:
        """A variant's accord.toml."""
        folder = self.folder / f"project-{variant}"
        if not folder.exists():
            changes = VARIANTS[variant] | {
                "checkpoint.every_steps": EVERY_STEPS,
                "checkpoint.keep": 3,
                "training.device": self.device,
            }
            write_project(folder, self.encoder, changes)
        return folder / "accord.toml"

    def wanted(self, variant: int) -> dict:
        """What a variant's run leaves."""
        if variant not in self._wanted:
            run = self.new_run()
            code, _ = self.go_on(variant, run, {})
            if code != FINE:
                raise SystemExit(f"variant {variant}: fails by itself: {log_of(run)}")
            self._wanted[variant] = folder_of(run)
        return self._wanted[variant]

    def new_run(self) -> Path:
        """A run folder that isn't there yet."""
        return self.folder / f"run-{next(self._runs)}"

    def go_on(
        self, variant: int, run: Path, environment: dict[str, str], kill_after: float | None = None
    ) -> tuple[int, float]:
        """Start or resume a run in a process of its own; return how it ended, and its seconds."""
        config, started = self.config(variant), time.perf_counter()
        child = os.fork()
        if child == 0:
            os.environ.update(environment)
            os._exit(_attempt(config, run))
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status), time.perf_counter() - started

    def check(self, kind: str, variant: int, run: Path, what: str) -> None:
        """Go on with a broken run to its end, and compare."""
        self.counts[kind] += 1
        if kind != "damages" and (lost := steps_lost(run)) is not None:
            self.most_lost = max(self.most_lost, lost)
            if lost > EVERY_STEPS + 1:
                self.failures.append(f"{kind}: {what}: {lost} steps lost")
        code, _ = self.go_on(variant, run, {})
        if code != FINE:
            self.failures.append(f"{kind}: {what}: can't go on ({code}): {log_of(run)}")
        elif folder_of(run) != self.wanted(variant):
            self.failures.append(f"{kind}: {what}: {run} differs")
            return
        shutil.rmtree(run, ignore_errors=True)


def steps_lost(run: Path) -> int | None:
    """The steps that a broken run took since its newest checkpoint."""
    metrics = run / "metrics.jsonl"
    if not metrics.exists() or RunFolder(run).state() == "done":
        return None
    steps = metrics.read_text(encoding="utf-8").count('"kind": "step"')
    return steps - max((step_of(path) for path in checkpoints(run / "checkpoints")), default=0)


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step-"))


def _attempt(config: Path, run: Path) -> int:
    if os.environ.get(IN_EVALUATION):
        _die_in_evaluation()
    try:
        if (run / "status.json").exists():
            resume_run(run, quiet=True)
        else:
            source = config.read_text(encoding="utf-8")
            start_run(plan_run(load_config(config)).only, run, source=source, quiet=True)
    except AccordError as error:
        (run.parent / f"{run.name}.error").write_text(str(error))
        return REFUSED
    except BaseException as error:
        (run.parent / f"{run.name}.error").write_text(repr(error))
        return WRONG
    return FINE


def _die_in_evaluation() -> None:
    """Let the second evaluation find its second task, and no further."""
    ours, calls = evaluating.evaluate, itertools.count(1)

    def evaluate(*args: Any) -> Any:
        if next(calls) == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return ours(*args)

    evaluating.evaluate = evaluate


def log_of(run: Path) -> str:
    """The error that a run's process ended with."""
    file = run.parent / f"{run.name}.error"
    return file.read_text() if file.exists() else "no error was written"


def random_kills(bench: Bench, count: int, rng: random.Random) -> None:
    """Kill at random moments."""
    seconds = {}
    for i in range(count):
        variant = i % len(VARIANTS)
        if variant not in seconds:
            bench.wanted(variant)
            _, seconds[variant] = bench.go_on(variant, bench.new_run(), {})
        run, moment = bench.new_run(), rng.uniform(0, seconds[variant])
        code, _ = bench.go_on(variant, run, {}, kill_after=moment)
        if code not in (-signal.SIGKILL, FINE):
            bench.failures.append(f"kill: {moment:.3f} s: ended with {code}: {log_of(run)}")
        bench.check("kills", variant, run, f"variant {variant} after {moment:.3f} s")
        say(f"kills {i + 1}/{count}")


def phases(bench: Bench) -> None:
    """Kill each kind of run in an evaluation and in a save."""
    for variant, kind in enumerate(VARIANTS):
        saves = [
            i
            for i, name in enumerate(operations(bench, variant), 1)
            if "checkpoints/step-8" in name
        ]
        places = {
            "an evaluation": {IN_EVALUATION: "1"},
            "a save": {FAULT: f"kill@{saves[len(saves) // 2]}"},
        }
        for place, environment in places.items():
            run = bench.new_run()
            code, _ = bench.go_on(variant, run, environment)
            if code != -signal.SIGKILL:
                bench.failures.append(f"phases: {kind}: wasn't killed in {place}")
            bench.check("phases", variant, run, f"{kind} in {place}")
        say(f"phases {variant + 1}/{len(VARIANTS)}")


def repeats(bench: Bench, count: int) -> None:
    """Run one seed again and again, in float32 and bfloat16, fine-tuned and frozen."""
    for variant in (0, 1, len(VARIANTS) - 1):
        for i in range(count):
            bench.check("repeats", variant, bench.new_run(), f"{VARIANTS[variant]}, run {i + 1}")
            say(f"repeats {i + 1}/{count}")


def operations(bench: Bench, variant: int) -> list[str]:
    """The operations of a whole run."""
    file = bench.folder / f"operations-{variant}"
    file.unlink(missing_ok=True)
    run = bench.new_run()
    bench.go_on(variant, run, {FAULT: f"list@{file}"})
    return [line.replace(str(run), "RUN") for line in file.read_text().splitlines()]


def failpoints(bench: Bench, every: int, fault: str) -> None:
    """Kill, or fill the disk, at every N-th operation of a run."""
    variant = 0
    bench.wanted(variant)
    names = operations(bench, variant)
    for i in range(1, len(names) + 1, every):
        run = bench.new_run()
        code, _ = bench.go_on(variant, run, {FAULT: f"{fault}@{i}"})
        allowed = (-signal.SIGKILL,) if fault == "kill" else (REFUSED, FINE)
        if code not in allowed:
            bench.failures.append(f"{fault}: {names[i - 1]}: ended with {code}: {log_of(run)}")
        bench.check(fault, variant, run, f"operation {i}, {names[i - 1]}")
        say(f"{fault} {i}/{len(names)}")


def damages(bench: Bench, count: int, rng: random.Random) -> None:
    """Damage the newest checkpoint of a run that was killed in its last epoch."""
    variant, files = 0, [*FILES, MANIFEST]
    bench.wanted(variant)
    names = operations(bench, variant)
    last = max(i for i, name in enumerate(names) if "step-12" in name) + 3
    broken = bench.new_run()
    bench.go_on(variant, broken, {FAULT: f"kill@{last}"})
    ways: list[tuple[str, Callable[[Path], None]]] = [
        ("cut to nothing", lambda file: os.truncate(file, 0)),
        ("cut to half", lambda file: os.truncate(file, file.stat().st_size // 2)),
        ("cut to 99 %", lambda file: os.truncate(file, file.stat().st_size * 99 // 100)),
        ("removed", lambda file: file.unlink()),
    ]
    for i in range(count):
        run = bench.new_run()
        shutil.copytree(broken, run)
        newest = max((run / "checkpoints").glob("step-*"), key=step_of)
        file, round_ = newest / files[i % len(files)], i // len(files)
        name, way = ways[round_] if round_ < len(ways) else ("bit flipped", lambda f: flip(f, rng))
        way(file)
        bench.check("damages", variant, run, f"{file.name} {name}")
        say(f"damages {i + 1}/{count}")


def flip(file: Path, rng: random.Random) -> None:
    """Flip one bit."""
    content = bytearray(file.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    file.write_bytes(content)


def has_gpu() -> bool:
    """Whether torch finds a GPU, asked in a process of its own."""
    child = os.fork()
    if child == 0:
        os._exit(FINE if torch.cuda.is_available() else REFUSED)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == FINE


def say(text: str) -> None:
    """Show progress where somebody looks on."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--every", type=int, default=1, help="of the announced operations")
    parser.add_argument("--damages", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    if options.device == "cuda" and not has_gpu():
        raise SystemExit("--device: 'cuda' takes a GPU, and torch finds none here; allowed: cpu")
    rng, started = random.Random(options.seed), time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), options.device)
        failpoints(bench, options.every, "kill")
        failpoints(bench, options.every, "full")
        damages(bench, options.damages, rng)
        repeats(bench, options.repeats)
        phases(bench)
        random_kills(bench, options.kills, rng)
    say("")
    table = {
        "command": f"python tests/end_to_end/faults.py --kills {options.kills}"
        f" --every {options.every} --damages {options.damages}"
        f" --repeats {options.repeats} --seed {options.seed}"
        + ("" if options.device == "cpu" else f" --device {options.device}"),
        "cases": dict(bench.counts), "failures": bench.failures,
        "checkpoint_every_steps": EVERY_STEPS, "most_steps_lost": bench.most_lost,
        "seconds": round(time.monotonic() - started),
    }  # fmt: skip
    print(json.dumps(table, indent=1))
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    sys.exit(bool(bench.failures))


if __name__ == "__main__":
    main()
