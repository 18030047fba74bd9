"""How much memory does training hold at its peak?

    python benchmarks/memory.py [--data FOLDER] [--rounds N]

Each side in a fresh Python process of its own: imports, MiniLM, five steps over super batches of
3 x 32 examples; the figure is the process's peak resident memory, libraries included. Ours keeps
freed memory, as its runs do; the peers' allocator is left as it is.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness import Report, Row, Side, arguments, median_interval, progress

TARGET, STEPS, MIB = 0.6, 5, 1 << 20
SIDES = (
    "ours_joint", "ours_pcgrad",
    "transformers_joint", "transformers_pcgrad", "transformers_lean_pcgrad",
)  # fmt: skip


def in_fresh_process(script: str, *options: str) -> dict[str, Any]:
    """Run a script in a process of its own; return the JSON object of its last line."""
    command = [sys.executable, script, *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def peak_bytes() -> int:
    """This process's peak resident memory."""
    from accord.runs.memory import peak_memory_bytes

    # What getrusage tells may still hold the parent's peak, from before this process was itself.
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text().splitlines()
        for line in lines:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return peak_memory_bytes()


def build(side: str, data: Path | None) -> Side:
    """Make a side's step; imports nothing of the other side."""
    from workload import encoder, our_step, workload

    work, joint = workload(data), side.endswith("joint")
    if side.startswith("ours"):
        from accord.runs.memory import keep_freed_memory

        keep_freed_memory()
        return our_step(work, encoder("minilm"), joint=joint)
    import peers

    make = getattr(peers, f"{side}_step".replace("_joint", ""))
    return make(work, peers.bert("minilm"), fused=True)


def measure_side(side: str, data: Path | None) -> None:
    """Take a side's steps in this process, and print its peak."""
    step = build(side, data)
    for i in range(STEPS):
        step(i)
    if side.startswith("ours") and "transformers" in sys.modules:
        raise SystemExit("ours imported transformers: its memory would not be ours")
    print(json.dumps({"bytes": peak_bytes()}))


def ratio(name: str, ours: list[int], peer: list[int], target: float | None) -> Row:
    """Our peak over the peer's, round by round."""
    values = [a / b for a, b in zip(ours, peer, strict=True)]
    note = f"{statistics.median(ours) / MIB:.0f} over {statistics.median(peer) / MIB:.0f} MiB"
    return Row(
        name, statistics.median(values), target, "lower", median_interval(values),
        rounds=len(values), note=note,
    )  # fmt: skip


def main() -> None:
    parser = arguments(__doc__.splitlines()[0], "memory", rounds=3)
    parser.add_argument("--side", choices=SIDES, help="measure this side, in this process")
    options = parser.parse_args()
    if options.side:
        measure_side(options.side, options.data)
        return
    report = Report(f"Peak memory of {STEPS} training steps: ours over the peer's")
    data = [] if options.data is None else ["--data", str(options.data)]
    peaks: dict[str, list[int]] = {side: [] for side in SIDES}
    for i in range(options.rounds):
        for side, values in peaks.items():
            progress(f"round {i + 1} of {options.rounds}: {side}")
            values.append(in_fresh_process(__file__, "--side", side, *data)["bytes"])
    progress("")
    for name, target in (("", TARGET), ("pcgrad", TARGET), ("lean_pcgrad", None)):
        report.add(ratio(
            "_".join(filter(None, ("peak_memory", name, "vs_transformers"))),
            peaks["ours_pcgrad" if name else "ours_joint"],
            peaks[f"transformers_{name or 'joint'}"], target,
        ))  # fmt: skip
    report.details = {
        f"{side}_mib": round(statistics.median(values) / MIB, 1) for side, values in peaks.items()
    }
    report.finish(options.output)


if __name__ == "__main__":
    main()
