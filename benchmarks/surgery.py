"""What does surgery cost over plain joint training?

    python benchmarks/surgery.py [--precision float32|bfloat16] [--pooling cls|mean]
                                 [--data FOLDER] [--rounds N]

Our own step twice, on the same super batches of T x 32 examples, MiniLM: with one gradient per
task, their Gram matrix, PCGrad and the weighted sum; and with one gradient for all tasks.
"""

from __future__ import annotations

import torch
from harness import RESULTS, Report, Row, alternate, arguments, overhead
from workload import encoder, our_step, workload

from accord.runs.memory import keep_freed_memory

TARGETS = {"float32": 1.05, "bfloat16": 1.10}
SHORT = {"float32": "fp32", "bfloat16": "bf16"}
TASKS = (3, 8)


def measure(tasks: int, options) -> Row:
    """Compare the two steps for so many tasks."""
    torch.manual_seed(0)
    work = workload(options.data, tasks=tasks, pooling=options.pooling)
    bfloat16 = options.precision == "bfloat16"
    sides = {
        name: our_step(work, encoder("minilm"), joint=name == "joint", bfloat16=bfloat16)
        for name in ("joint", "pcgrad")
    }
    seconds = alternate(sides, options.rounds)
    name = f"surgery_overhead_t{tasks}_{SHORT[options.precision]}"
    target: float | None = TARGETS[options.precision]
    if options.pooling != "cls":
        name, target = f"{name}_{options.pooling}", None
    tokens = ", ".join(str(batch.tokens) for batch in work.batches)
    note = f"peer: the joint step; {tokens} tokens"
    return overhead(name, seconds["pcgrad"], seconds["joint"], target, note)


def main() -> None:
    parser = arguments(__doc__.splitlines()[0], "surgery", rounds=50)
    parser.add_argument("--precision", choices=list(SHORT), default="float32")
    parser.add_argument("--pooling", choices=["cls", "mean"], default="cls")
    parser.set_defaults(output=None)
    options = parser.parse_args()
    keep_freed_memory()
    report = Report(f"PCGrad's step over the joint step's time, {options.precision}")
    for tasks in TASKS:
        report.add(measure(tasks, options))
    parts = ["surgery"]
    if options.pooling != "cls":
        parts.append(options.pooling)
    if options.precision != "float32":
        parts.append(SHORT[options.precision])
    report.finish(options.output or RESULTS / f"{'-'.join(parts)}.json")


if __name__ == "__main__":
    main()
