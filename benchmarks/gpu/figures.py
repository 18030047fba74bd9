"""Figures with their targets, checks that fail alone, and the table."""

from __future__ import annotations

import json
import math
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Kind = Literal["figure", "law"]

TARGETS: dict[str, float] = {
    "bert-base 3x32 pcgrad ms": 14,
    "bert-base 3x128 pcgrad ms": 31,
    "bert-base 3x32 one padded batch / joint": 3.3,
    "bert-base 3x128 one padded batch / joint": 2.4,
    "bert-base 3x32 one padded batch compiled / joint": 1.8,
    "bert-base 3x128 one padded batch compiled / joint": 1.8,
    "bert-base 3x32 lean pcgrad / pcgrad": 10,
    "bert-base 3x128 lean pcgrad / pcgrad": 5,
    "minilm 3x128 pcgrad / joint": 1.10,
    "bert-base 3x32 pcgrad / joint": 1.15,
    "bert-base 8x12 pcgrad / joint": 1.3,
    "bert-base 32x3 pcgrad / joint": 2.0,
    "bert-base 3x32 in one order / any": 1.12,
    "bert-base 3x128 in one order / any": 1.12,
    "bert-base 3x512 pcgrad tokens/s": 0.43e6,
    "minilm 3x128 pcgrad tokens/s": 1.2e6,
    "bert-base 3x512 share of the dense rate": 0.28,
    "bert-base 3x32 joint host ms between replays": 1.0,
    "bert-base 3x32 pcgrad host ms between replays": 1.0,
    "minilm texts / sorted": 3,
    "recipe 1521 steps s": 18,
    "recipe estimate, off by": 0.25,
    "first step s": 15,
}
STEP = "step: "  # what a law's name begins with that is of one method, rule or scheme
HIGHER = (
    "one padded batch / joint", "one padded batch compiled / joint", "lean pcgrad / pcgrad",
    "tokens/s", "/ sorted", "share of the dense rate",
)  # fmt: skip
BEFORE: dict[str, float] = {  # one H100 80GB, 2026-11-26, torch 2.11
    "bert-base 3x32 joint ms": 71.6,
    "bert-base 3x32 pcgrad ms": 86.7,
    "bert-base 3x128 joint ms": 82.0,
    "bert-base 3x128 pcgrad ms": 103.8,
    "bert-base 3x32 one padded batch / joint": 0.64,
    "bert-base 3x128 one padded batch / joint": 0.89,
    "bert-base 3x32 lean pcgrad / pcgrad": 1.60,
    "bert-base 3x128 lean pcgrad / pcgrad": 1.45,
    "bert-base 3x32 pcgrad / joint": 1.21,
    "bert-base 3x128 pcgrad / joint": 1.27,
    "minilm 3x32 pcgrad / joint": 1.19,
    "minilm 3x128 pcgrad / joint": 1.22,
    "bert-base 3x32 joint kernels": 1232,
    "bert-base 3x32 pcgrad kernels": 1757,
    "bert-base 3x32 joint busy ms": 11.9,
    "bert-base 3x32 pcgrad busy ms": 18,
    "minilm predict 4096 /s": 19_900,
    "minilm predict 262144 /s": 88_700,
    "bert-base predict 4096 /s": 11_700,
    "bert-base predict 262144 /s": 44_000,
    "recipe 1521 steps s": 40,
    "two runs, largest difference": 1.7e-4,
}


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        name: of it, by which it has a target and a figure of before.
        value: measured.
        kind: a 'law' fails the command where it is over its target.
        limit: a law's tolerance.
        interval: 95 %, of a median.
        note: what a reader has to know beside.
    """

    name: str
    value: float
    kind: Kind = "figure"
    limit: float | None = None
    interval: tuple[float, float] | None = None
    note: str = ""

    @property
    def target(self) -> float | None:
        """What it should reach."""
        return self.limit if self.limit is not None else TARGETS.get(self.name)

    @property
    def higher(self) -> bool:
        """Whether more is better."""
        return self.kind == "figure" and self.name.endswith(HIGHER)

    @property
    def reached(self) -> bool | None:
        """Whether it is as good as its target; NaN never is."""
        if self.target is None:
            return None
        return self.value >= self.target if self.higher else self.value <= self.target


def ratio(name: str, over: Sequence[float], under: Sequence[float]) -> Figure:
    """The median of ratios taken round by round."""
    from harness import median_interval  # it needs all of Accord, which the table does not

    ratios = sorted(a / b for a, b in zip(over, under, strict=True))
    return Figure(name, ratios[len(ratios) // 2], interval=median_interval(ratios))


@dataclass
class Recorder:
    """Runs a part's checks one by one and writes what they found after each.

    Attributes:
        part: its name.
        output: its file.
        end: by the monotonic clock; no check begins after it.
        done: whether all checks were run.
    """

    part: str
    output: Path
    end: float
    figures: list[Figure] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    done: bool = False

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.end - time.monotonic()

    def add(self, *figures: Figure) -> None:
        """Add figures, and write them."""
        self.figures += figures
        self.write()

    def fault(self, name: str, error: BaseException) -> None:
        """Say what went wrong in a check."""
        line = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        self.faults.append(f"{self.part}: {name}: {line}")
        print(f"{self.faults[-1]}\n{''.join(traceback.format_exception(error)[-4:])}", flush=True)
        self.write()

    def check(self, name: str, function: Callable[[], object], law: bool = False) -> None:
        """Run a check; a law's that can't be tried is a law that fails."""
        if self.left < 0:
            self.faults.append(f"{self.part}: {name}: no time was left")
            if law:
                self.figures.append(Figure(name, math.nan, "law", 0.0, note="no time was left"))
            self.write()
            return
        start = time.monotonic()
        try:
            function()
        except ModuleNotFoundError as error:
            self.fault(f"{name}: left out, as {error.name} is missing", error)
        except (Exception, SystemExit) as error:
            self.fault(name, error)
            if law:
                self.figures.append(Figure(name, math.nan, "law", 0.0, note="could not be tried"))
        self.seconds[name] = round(time.monotonic() - start, 1)
        print(f"  {self.part}: {name}: {self.seconds[name]} s", flush=True)
        self.write()

    def write(self) -> None:
        """Write everything so far."""
        table = asdict(self)
        for private in ("output", "end"):  # where and until when: nothing of the figures
            del table[private]
        self.output.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


def read_figures(table: dict[str, Any]) -> list[Figure]:
    """Read a part's figures back."""
    return [Figure(**figure) for figure in table["figures"]]


def broken(figures: Sequence[Figure]) -> list[Figure]:
    """The laws that do not hold."""
    return [figure for figure in figures if figure.kind == "law" and not figure.reached]


def brief(figures: Sequence[Figure]) -> list[Figure]:
    """The figures with all steps that are as on a CPU in one line."""
    steps = [figure for figure in figures if figure.name.startswith(STEP) and figure.reached]
    rest = [figure for figure in figures if figure not in steps]
    if not steps:
        return rest
    worst = max(steps, key=lambda each: each.value)
    name = f"{len(steps)} steps as on a CPU, the worst"
    return [*rest, Figure(name, worst.value, "law", worst.limit, note=worst.name)]


def show(figures: Sequence[Figure]) -> None:
    """Print the table."""
    width = max((len(figure.name) for figure in figures), default=4) + 2
    print(f"\n{'':{width}}{'now':>11} {'before':>11} {'target':>11}")
    for figure in figures:
        before, target = BEFORE.get(figure.name), figure.target
        sign = "≥" if figure.higher else "≤"
        shown = "" if target is None else f"{sign} {target:.3g}"
        mark = {True: "yes", False: "NO", None: ""}[figure.reached]
        past = "" if before is None else f"{before:.4g}"
        print(
            f"{figure.name:{width}}{figure.value:11.4g} {past:>11} {shown:>11} {mark:4}"
            f" {figure.note}"
        )
