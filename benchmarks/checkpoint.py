"""What share of training time do checkpoints take at the default cadence?

    python benchmarks/checkpoint.py [--data FOLDER] [--rounds N]

Steps of the three tasks with PCGrad, MiniLM, in float32 and bfloat16, fine-tuned and frozen, and
in turn with them checkpoints as training writes them: three files, their SHA-256, flushed to the
disk. The default is one every 500 steps and one at each epoch's end; the share counts the former.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from epoch import task_tables
from harness import Report, Row, arguments, median_interval, progress
from workload import data_folder, minilm_folder

from accord.config.file import parse_config
from accord.plan.making import plan_run
from accord.plan.resolving import EVERY_STEPS
from accord.runs.memory import keep_freed_memory
from accord.training.checkpoint import RunState, save_checkpoint
from accord.training.setup import Setup, prepare

TARGET = 0.03
STEPS = 8  # between two checkpoints here; the share is of EVERY_STEPS
CASES: dict[str, dict[str, Any]] = {
    "float32": {},
    "bfloat16": {"training": {"precision": "bfloat16"}},
    "frozen": {"encoder": {"mode": "frozen"}},
}


def seconds(setup: Setup, rounds: int, folder: Path, label: str) -> list[tuple[float, float]]:
    """A step's and a checkpoint's seconds, in each round."""
    result = []
    step = 0
    for i in range(rounds + 1):
        started = time.perf_counter()
        for _ in range(STEPS):
            setup.learner.model.train()
            setup.learner.step(step, setup.batch(step), 1.0)
            step += 1
        middle = time.perf_counter()
        save_checkpoint(folder, setup.learner, RunState(step=step), keep=2)
        end = time.perf_counter()
        progress(f"{label}: round {i} of {rounds}")
        if i:  # the first warms up
            result.append(((middle - started) / STEPS, end - middle))
    return result


def main() -> None:
    options = arguments(__doc__.splitlines()[0], "checkpoint", rounds=10).parse_args()
    report = Report("Share of training time that checkpoints take")
    keep_freed_memory()
    for label, changes in CASES.items():
        config = {
            "encoder": {"path": str(minilm_folder()), **changes.get("encoder", {})},
            "tasks": task_tables(data_folder(options.data)),
            "training": {"gradients": "pcgrad", **changes.get("training", {})},
        }
        setup = prepare(plan_run(parse_config(config)).only)
        if label == "frozen":
            setup.encode_data()
        with tempfile.TemporaryDirectory() as folder:
            rounds = seconds(setup, options.rounds, Path(folder), label)
        shares = [save / (EVERY_STEPS * step + save) for step, save in rounds]
        report.add(Row(
            f"checkpoint_share_{label}", statistics.median(shares), TARGET, "lower",
            median_interval(shares), rounds=len(shares),
            note=f"every {EVERY_STEPS} steps: {statistics.median(s for _, s in rounds):.2f} s after"
            f" {EVERY_STEPS * statistics.median(s for s, _ in rounds):.0f} s",
        ))  # fmt: skip
    progress("")
    report.finish(options.output)


if __name__ == "__main__":
    main()
