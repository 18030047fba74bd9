"""Is the training step as fast as it was? Another checkout's beside this one's.

    git worktree add --detach ../before COMMIT
    python benchmarks/versions.py --before ../before [--pcgrad] [--precision float32|bfloat16]
                                  [--tasks T] [--data FOLDER] [--rounds N]

Each checkout's own step on its own workload, the same super batches of T x 32 examples with MiniLM,
in a process of its own; they take turns, one step a round.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from harness import Report, Side, alternate, arguments, overhead
from workload import data_folder

HERE = Path(__file__).parents[1]
STEPS = """
import sys
import torch
from workload import encoder, our_step, workload
try:
    from accord.runs.memory import keep_freed_memory
except ModuleNotFoundError:
    from accord.memory import keep_freed_memory
keep_freed_memory()
torch.manual_seed(0)
data, tasks, joint, bfloat16 = sys.argv[1], *map(int, sys.argv[2:])
from pathlib import Path
work = workload(Path(data), tasks=tasks)
side = our_step(work, encoder("minilm"), joint=bool(joint), bfloat16=bool(bfloat16))
for line in sys.stdin:
    side(int(line))
    print("done", flush=True)
"""


def started(checkout: Path, options) -> subprocess.Popen[str]:
    """A process that takes a step of a checkout whenever it is asked to."""
    where = os.pathsep.join(str(checkout / part) for part in ("src", "benchmarks"))
    bfloat16 = options.precision == "bfloat16"
    flags = [str(options.tasks), str(int(not options.pcgrad)), str(int(bfloat16))]
    return subprocess.Popen(
        [sys.executable, "-c", STEPS, str(data_folder(options.data).absolute()), *flags],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": where},
    )  # fmt: skip


def asking(process: subprocess.Popen[str]) -> Side:
    """Ask a process for a step, and wait for it."""
    assert process.stdin is not None
    assert process.stdout is not None

    def side(step: int) -> None:
        print(step, file=process.stdin, flush=True)
        if process.stdout.readline() != "done\n":
            raise SystemExit("a step's process ended; its error stands above")

    return side


def main() -> None:
    parser = arguments(__doc__.splitlines()[0], "versions", rounds=60)
    parser.add_argument("--before", type=Path, required=True, help="the other checkout")
    parser.add_argument("--pcgrad", action="store_true", help="one gradient per task, and PCGrad")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--tasks", type=int, default=3)
    parser.set_defaults(output=None)
    options = parser.parse_args()
    processes = {
        "now": started(HERE, options), "before": started(options.before.resolve(), options),
    }  # fmt: skip
    sides = {name: asking(process) for name, process in processes.items()}
    seconds = alternate(sides, options.rounds)
    for process in processes.values():
        process.communicate()
    kind = "pcgrad" if options.pcgrad else "joint"
    name = f"{kind}_step_t{options.tasks}_{options.precision}_over_before"
    report = Report(f"The step over {options.before.name}'s")
    report.add(overhead(name, seconds["now"], seconds["before"], 1.02))
    report.finish(options.output)


if __name__ == "__main__":
    main()
