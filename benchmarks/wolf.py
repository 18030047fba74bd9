"""How often does a verdict cry wolf?

    python benchmarks/wolf.py [--pairs N] [--seeds N] [--rows N] [--data FOLDER] [--output FILE]

Compares like with like: in each pair, two groups of runs of one config, by other seeds. The encoder
is frozen, so that a run is cheap: the tasks' heads are trained on vectors that are computed once.
No run stands in two pairs. The false alarms of three ways to make an interval are counted: ours
(`accord.judging.verdict`), the bootstrap over seeds and rows alike, and the one over rows alone.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from epoch import task_tables
from harness import progress
from scipy.stats import binomtest
from workload import data_folder, minilm_folder

from accord.config.file import parse_config
from accord.judging.inference import head_logits
from accord.judging.metrics import METRICS
from accord.judging.verdict import LEVEL, difference
from accord.model.heads import decode
from accord.training.building import build_combination, build_learner
from accord.training.setup import Setup, prepare

Interval = tuple[float, float]


def predictions(setup: Setup, seed: int) -> dict[str, np.ndarray]:
    """Train all heads by a seed, and return each task's dev predictions [n]."""
    training = setup.config.training.model_copy(update={"seed": seed})
    config = setup.config.model_copy(update={"training": training})
    encoder, sampler = setup.learner.model.encoder, replace(setup.sampler, seed=seed)
    combination = build_combination(config, encoder, setup.data.tasks, sampler)
    learner = build_learner(
        config, encoder, setup.data.tasks, combination, setup.device, setup.learner.products
    )
    own = replace(setup, config=config, learner=learner, sampler=sampler)
    for step in range(own.total_steps):
        learner.model.train()
        learner.step(step, own.batch(step), 1.0)
    assert own.dev_features is not None
    return {
        task.name: decode(head_logits(learner.model, i, own.dev_features[i]), task).numpy()
        for i, task in enumerate(own.data.tasks)
    }


def both_bootstrapped(
    metric: str, labels: np.ndarray, ours: np.ndarray, theirs: np.ndarray, rng: np.random.Generator
) -> Interval:
    """The percentile interval of the mean difference, pairs of runs and rows drawn anew alike."""
    runs, rows = ours.shape
    values = []
    for _ in range(300):
        seeds, index = rng.integers(runs, size=runs), rng.integers(rows, size=rows)
        values.append(np.mean([
            METRICS[metric](ours[s, index], labels[index])
            - METRICS[metric](theirs[s, index], labels[index])
            for s in seeds
        ]))  # fmt: skip
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=5, help="runs of each side of a pair")
    parser.add_argument("--rows", type=int, default=1000, help="training rows of each task")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    started, rng = time.monotonic(), np.random.default_rng(0)
    tables = task_tables(data_folder(options.data), pooling="mean")
    setup = prepare(parse_config({
        "encoder": {"path": str(minilm_folder()), "mode": "frozen"},
        "tasks": {name: {**table, "limit": options.rows} for name, table in tables.items()},
    }))  # fmt: skip
    setup.encode_data()
    count = 2 * options.seeds * options.pairs
    runs = []
    for seed in range(count):
        runs.append(predictions(setup, seed))
        progress(f"run {seed + 1} of {count}")
    progress("")

    wolves: dict[str, dict[str, int]] = {}
    methods: dict[str, Callable[..., Interval]] = {
        "accord.judging.verdict": lambda m, y, a, b, c: _ends(difference(m, y, a, b, classes=c)),
        "bootstrap over seeds and rows": lambda m, y, a, b, c: both_bootstrapped(m, y, a, b, rng),
        "bootstrap over rows, one run each": lambda m, y, a, b, c: _ends(
            difference(m, y, a[:1], b[:1], classes=c)
        ),
    }
    for i, own in enumerate(setup.data.dev):
        task = own.task
        every = np.stack([run[task.name] for run in runs]).reshape(options.pairs, 2, -1, len(own))
        for name, method in methods.items():
            false = 0
            for ours, theirs in every:
                classes = len(task.labels) if task.is_classification else None
                low, high = method(task.metric, own.labels, ours, theirs, classes)
                false += low > 0 or high < 0
            wolves.setdefault(name, {})[task.name] = false
        progress(f"task {i + 1}")
    progress("")
    table = {
        "command": f"python benchmarks/wolf.py --pairs {options.pairs} --seeds {options.seeds}"
        f" --rows {options.rows}",
        "pairs": options.pairs, "runs_a_side": options.seeds, "level": LEVEL,
        "tasks": {own.task.name: own.task.metric for own in setup.data.dev},
        "false_alarms": {
            name: {**counts, **_share(sum(counts.values()), options.pairs * len(counts))}
            for name, counts in wolves.items()
        },
        "seconds": round(time.monotonic() - started),
    }  # fmt: skip
    print(json.dumps(table, indent=1))
    if options.output:
        options.output.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


def _ends(found: object) -> Interval:
    return found.low, found.high  # type: ignore[attr-defined]


def _share(count: int, total: int) -> dict[str, float]:
    """The share of false alarms with its exact binomial interval of 95 %."""
    ends = binomtest(count, total).proportion_ci(0.95)
    return {"share": count / total, "low": round(ends.low, 4), "high": round(ends.high, 4)}


if __name__ == "__main__":
    main()
