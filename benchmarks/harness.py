"""How the benchmarks measure, and how they report.

All sides of a comparison run in one process, in turn, in an order that changes every round; a
ratio is taken round by round, so that a machine whose speed drifts is no side's advantage. A
figure is the median of the rounds with a bootstrap interval of 95 % for that median.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from accord.kernels.matmul import MatmulPolicy
from accord.runs.estimate import matrix_rate
from accord.runs.folder import environment

RESULTS = Path(__file__).parent / "results"
Side = Callable[[int], object]


def alternate(sides: dict[str, Side], rounds: int, warmup: int = 3) -> dict[str, list[float]]:
    """Run every side once a round, in turn.

    Args:
        sides: each is called with the number of the round.
        rounds: that count.
        warmup: rounds before them that don't.

    Returns:
        For each side its seconds, a round after the other.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    order = list(sides)
    for i in range(-warmup, rounds):
        random.Random(i).shuffle(order)
        for name in order:
            start = time.perf_counter()
            sides[name](i + warmup)
            if i >= 0:
                seconds[name].append(time.perf_counter() - start)
        progress(f"round {max(0, i + 1)} of {rounds}")
    progress("")
    return seconds


def progress(text: str) -> None:
    """Show what is being done, where somebody looks on."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        name: by which `latest.json` knows it.
        value: a ratio or a share.
        target: what it should reach; None where it is only told.
        better: whether it should be higher or lower than the target.
        interval: 95 %, of the median over the rounds; None for what was measured once.
        ours_ms: our own median.
        peer_ms: the other side's median.
        rounds: how many pairs the figure rests on.
        note: what a reader has to know beside the name.
    """

    name: str
    value: float
    target: float | None
    better: Literal["higher", "lower"]
    interval: tuple[float, float] | None = None
    ours_ms: float | None = None
    peer_ms: float | None = None
    rounds: int = 1
    note: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the value is as good as its target; None where there is no target."""
        if self.target is None:
            return None
        return self.value >= self.target if self.better == "higher" else self.value <= self.target


def speedup(
    name: str, peer: Sequence[float], ours: Sequence[float], target: float | None, note: str = ""
) -> Row:
    """How many times as long the peer takes as we do, round by round."""
    return _ratio(name, peer, ours, target, "higher", peer, ours, note)


def overhead(
    name: str, longer: Sequence[float], plain: Sequence[float], target: float | None, note: str = ""
) -> Row:
    """How many times as long something takes as its plain form, round by round."""
    return _ratio(name, longer, plain, target, "lower", plain, longer, note)


def _ratio(
    name: str,
    over: Sequence[float],
    under: Sequence[float],
    target: float | None,
    better: Literal["higher", "lower"],
    peer: Sequence[float],
    ours: Sequence[float],
    note: str,
) -> Row:  # fmt: skip
    ratios = np.array(over) / np.array(under)
    return Row(
        name, float(np.median(ratios)), target, better, median_interval(ratios),
        statistics.median(ours) * 1e3, statistics.median(peer) * 1e3, len(ratios), note,
    )  # fmt: skip


def median_interval(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """The 95 % bootstrap interval of the median."""
    values = np.asarray(values)
    draws = np.random.default_rng(0).integers(len(values), size=(4000, len(values)))
    low, high = np.quantile(np.median(values[draws], axis=1), [0.025, 0.975])
    return float(low), float(high)


@dataclass
class Report:
    """What one benchmark found.

    Attributes:
        question: that it answers.
        rows: its figures.
        details: whatever else belongs into the file of results.
    """

    question: str
    rows: list[Row] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.time)

    def add(self, *rows: Row) -> None:
        """Add figures."""
        self.rows += rows

    def finish(self, output: Path | None) -> None:
        """Print the table and write the file of results."""
        limits = machine()
        print(f"\n{self.question}")
        processor, threads = limits["processor"], limits["threads"]
        print(f"{processor}, {threads} threads; torch {limits['packages']['torch']}; "
              f"matrix products {limits['float32_gflops']:.0f} GFLOP/s in float32, "
              f"{limits['bfloat16_gflops']:.0f} in bfloat16\n")  # fmt: skip
        print_rows(self.rows)
        for name, value in self.details.items():
            if isinstance(value, str | int | float):
                print(f"  {name}: {value}")
        if output is not None:
            output.parent.mkdir(parents=True, exist_ok=True)
            table = {
                "question": self.question,
                "command": "python " + " ".join(_relative(part) for part in sys.argv),
                "machine": limits,
                "seconds": round(time.time() - self.started, 1),
                "rows": [asdict(row) for row in self.rows],
                "details": self.details,
            }
            output.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


def _relative(part: str) -> str:
    path = Path(part)
    return f"benchmarks/{path.name}" if path.is_absolute() else part


def print_rows(rows: Sequence[Row]) -> None:
    """Print figures as a table."""
    width = max((len(row.name) for row in rows), default=4) + 2
    print(f"{'':{width}}{'value':>8} {'95 % interval':>16} {'target':>8}   "
          f"{'ours ms':>9} {'peer ms':>9} {'rounds':>6}")  # fmt: skip
    for row in rows:
        interval = "{:.3g} to {:.3g}".format(*row.interval) if row.interval else ""
        sign = "≥" if row.better == "higher" else "≤"
        target = "" if row.target is None else f"{sign} {row.target:g}"
        mark = {True: "yes", False: "NO", None: ""}[row.reached]
        times = "".join(
            f" {ms:9.4g}" if ms is not None else " " * 10 for ms in (row.ours_ms, row.peer_ms)
        )
        print(f"{row.name:{width}}{row.value:8.3g} {interval:>16} {target:>8} {mark:3}"
              f"{times} {row.rounds:6}  {row.note}")  # fmt: skip


def machine() -> dict[str, Any]:
    """The machine, versions, and the rate of its matrix products, measured now."""
    cpu = torch.device("cpu")
    rates = {
        f"{name}_gflops": matrix_rate(cpu, MatmulPolicy(bfloat16=name == "bfloat16"), 1.0) / 1e9
        for name in ("float32", "bfloat16")
    }
    return {**environment(torch.get_num_threads(), "cpu"), **rates}


def arguments(description: str, name: str, rounds: int) -> argparse.ArgumentParser:
    """The options that all benchmarks share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--data", type=Path, default=None, help="folder of the course's files")
    parser.add_argument(
        "--output", type=Path, default=RESULTS / f"{name}.json", help="file of results"
    )
    return parser
