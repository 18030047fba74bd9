"""What does each way to share, and each regulariser, cost a training step?

    python benchmarks/sharing.py [--precision float32|bfloat16] [--data FOLDER] [--rounds N]
                                 [--only WORD ...]

MiniLM, three tasks, super batches of 3 x 32 examples with mean pooling, dropout on: a step as a run
takes it, with and without. Each way takes turns with the plain step in one process, on the same
batches. SWA and soups are left out: theirs is a cost of epochs, not of steps. The peak memory is of
a process of its own that takes a few steps, data and all.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from epoch import task_tables
from harness import Report, Side, alternate, arguments, overhead
from workload import data_folder, minilm_folder

from accord.config.file import parse_config
from accord.plan.making import plan_run
from accord.runs.memory import keep_freed_memory, peak_memory_bytes
from accord.training.setup import Setup, prepare

PLAIN: dict[str, Any] = {}
WAYS: dict[str, dict[str, Any]] = {
    "lora": {"sharing": {"schemes": ["lora"]}},
    "lora_alone": {"sharing": {"schemes": ["lora"], "train_shared": False}},
    "adapter": {"sharing": {"schemes": ["adapter"]}},
    "pal": {"sharing": {"schemes": ["pal"]}},
    "task_norm": {"sharing": {"schemes": ["task-norm"]}},
    "own_layers": {"sharing": {"schemes": ["own-layers"]}},
    "own_encoder": {"sharing": {"schemes": ["own-encoder"]}},
    "own_encoder_l2": {"sharing": {"schemes": ["own-encoder"], "soft": "l2"}},
    "own_encoder_trace_norm": {"sharing": {"schemes": ["own-encoder"], "soft": "trace-norm"}},
    "unfreezing": {"training": {"unfreeze_over": 0.5}},
    "ema": {"averaging": {"method": "ema"}},
    "r_drop": {"training": {"regularisers": ["r-drop"]}},
    "smart": {"training": {"regularisers": ["smart"]}},
    "simcse": {"tasks": {"alike": {"kind": "simcse", "pooling": "mean"}}},
    "masked_lm": {"tasks": {"words": {"kind": "masked-lm"}}},
}
PEAK_STEPS = 8
STEPS = 95 * 2  # of the run that the steps are of: unfreezing goes by its length


def run(options, changes: dict[str, Any]) -> Setup:
    """A run's set-up with some changes."""
    table: dict[str, Any] = {
        "encoder": {"path": str(minilm_folder())},
        "tasks": task_tables(data_folder(options.data), pooling="mean"),
        "training": {
            "epochs": 2, "steps_per_epoch": STEPS // 2, "batching": "finish-smallest",
            "precision": options.precision, "device": "cpu",
        },
    }  # fmt: skip
    for section, change in changes.items():
        table[section] = {**table.get(section, {}), **change}
    return prepare(plan_run(parse_config(table)).only)


def stepping(setup: Setup) -> Side:
    """A step of a run, batch and all."""
    setup.learner.model.train()

    def side(step: int) -> None:
        number = step * 7 % STEPS  # from all over the run
        setup.learner.step(number, setup.batch(number), 1.0)

    return side


def peak(options, name: str) -> int:
    """The peak memory of a process that takes a few steps, in bytes."""
    command = [sys.executable, __file__, "--precision", options.precision, "--peak", name]
    if options.data is not None:
        command += ["--data", str(options.data)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = arguments(__doc__.splitlines()[0], "sharing", rounds=20)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="bfloat16")
    parser.add_argument("--only", nargs="+", default=[], help="ways whose names hold these words")
    parser.add_argument("--peak", metavar="NAME", help="take a few steps; print the peak memory")
    options = parser.parse_args()
    keep_freed_memory()
    if options.peak is not None:
        side = stepping(run(options, WAYS.get(options.peak, PLAIN)))
        for step in range(PEAK_STEPS):
            side(step)
        print(peak_memory_bytes())
        return
    report = Report(f"The step with each way to share over the plain step, {options.precision}")
    plain = run(options, PLAIN)
    base, held = (
        sum(parameter.numel() for parameter in plain.learner.model.parameters()),
        peak(options, "plain"),
    )
    for name, changes in WAYS.items():
        if options.only and not any(word in name for word in options.only):
            continue
        setup = run(options, changes)
        count = sum(parameter.numel() for parameter in setup.learner.model.parameters())
        seconds = alternate({"plain": stepping(plain), name: stepping(setup)}, options.rounds, 2)
        note = (
            f"{count / 1e6:.1f} million parameters, {count / base:.2f} x; peak memory"
            f" {peak(options, name) / (1 << 20):.0f} over {held / (1 << 20):.0f} MiB"
        )
        row = f"sharing_step_{name}_over_plain"
        report.add(overhead(row, seconds[name], seconds["plain"], None, note))
    report.finish(options.output)


if __name__ == "__main__":
    main()
