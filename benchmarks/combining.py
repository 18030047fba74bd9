"""How long does each gradient method take from the Gram matrix to its weights?

    python benchmarks/combining.py [--rounds N]

Every registered method, at its default options, on the gradients of 2 to 32 tasks: random ones of
64 columns, so that about half of all pairs conflict. A method that needs all of J combines those 64
columns; on a model's it takes as long as some passes over J.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
import torch
from harness import Report, Row, arguments, median_interval, progress

from accord.gradients import METHODS, Method
from accord.methods import Signals, keyed_generator

TASKS = (2, 4, 8, 16, 32)
COLUMNS = 64
TARGETS = {2: 2.0, 4: 2.0, 8: 2.0, 16: None, 32: 20.0}  # milliseconds
WARMUP = 5


def milliseconds(method: Method, tasks: int, rounds: int) -> list[float]:
    """The time of each call, on other gradients each time; the state goes on."""
    state, results = method.initial_state(tasks), []
    for number in range(-WARMUP, rounds):
        drawn = torch.Generator().manual_seed(number % 2**31)
        J = torch.randn(tasks, COLUMNS, generator=drawn, dtype=torch.float64)
        given = J if method.uses_jacobian else Signals.of(J @ J.t())
        generator = keyed_generator(0, number)
        started = time.perf_counter()
        _, state = method.function(given, state, generator)
        if number >= 0:
            results.append((time.perf_counter() - started) * 1e3)
    return results


def print_times(times: dict[str, dict[int, dict[str, float]]]) -> None:
    """Print median and 95th percentile of each method at each number of tasks."""
    print(f"\n{'ms: median (95 % below)':24}" + "".join(f"{f'T = {t}':>16}" for t in TASKS))
    for name, by_tasks in times.items():
        cells = (f"{task['median_ms']:.3f} ({task['p95_ms']:.2f})" for task in by_tasks.values())
        print(f"{name:24}" + "".join(f"{cell:>16}" for cell in cells))


def main() -> None:
    options = arguments(__doc__.splitlines()[0], "combining", rounds=200).parse_args()
    report = Report("Milliseconds from the Gram matrix to a method's weights")
    times: dict[str, dict[int, dict[str, float]]] = {}
    for method in METHODS.all():
        times[method.name] = {}
        for tasks in TASKS:
            progress(f"{method.name}: {tasks} tasks")
            timings = milliseconds(method, tasks, options.rounds)
            median = statistics.median(timings)
            late = float(np.quantile(timings, 0.95))
            times[method.name][tasks] = {"median_ms": round(median, 4), "p95_ms": round(late, 4)}
            if tasks in (8, 32):
                report.add(Row(
                    f"combine_ms_{method.name}_{tasks}", median, TARGETS[tasks], "lower",
                    median_interval(timings), rounds=len(timings), note=f"95 % below {late:.3g} ms",
                ))  # fmt: skip
    progress("")
    report.details["times"] = times
    print_times(times)
    report.finish(options.output)


if __name__ == "__main__":
    main()
