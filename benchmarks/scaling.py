"""Does a step's time grow with its tokens alone, and memory not with the data?

    python benchmarks/scaling.py [--data FOLDER] [--rounds N] [--rows N N] [--only PART ...]

tokens   our plain step over super batches of 3 x 8, 16, 32, 64 and 128 examples, against the
         straight line through them
tasks    the same 96 examples as 2, 4, 8, 16 and 32 tasks: the plain step's time a token, and
         what PCGrad adds to it
memory   a task with ten thousand rows and one with a million: the peak resident memory of a
         fresh process that prepares the run and takes ten steps
"""

from __future__ import annotations

import json
import os
import re
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from harness import Report, Row, alternate, arguments, overhead, progress
from memory import MIB, in_fresh_process, peak_bytes
from workload import ROOT, Workload, encoder, minilm_folder, our_step, workload

from accord.runs.memory import keep_freed_memory

TARGET = 1.10
BATCH_SIZES = (8, 16, 32, 64, 128)
SMALLEST_EVALUATED = 16  # below it the step's fixed costs are no longer small
TASKS, EXAMPLES = (2, 4, 8, 16, 32), 96
PARTS = ("tokens", "tasks", "memory")
STEPS, WORDS, CHUNK = 10, 10, 10_000


def one_batch(data: Path | None, tasks: int, batch_size: int) -> Workload:
    """A single super batch, so that every step of a side has the same tokens."""
    return workload(data, tasks=tasks, batch_size=batch_size, batches=1)


def per_token(seconds: list[float], tokens: int) -> float:
    """Median milliseconds of a thousand tokens."""
    return statistics.median(seconds) / tokens * 1e6


def from_line(tokens: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Each time over the line a + b·tokens through all, fitted to relative errors."""
    design = np.stack([np.ones(len(tokens)), tokens], axis=1) / seconds[:, None]
    offset, slope = np.linalg.lstsq(design, np.ones(len(tokens)), rcond=None)[0]
    return seconds / (offset + slope * tokens)


def tokens_part(report: Report, data: Path | None, rounds: int) -> None:
    """Time against tokens."""
    works = {size: one_batch(data, 3, size) for size in BATCH_SIZES}
    sides = {
        str(size): our_step(work, encoder("minilm"), joint=True) for size, work in works.items()
    }
    seconds = alternate(sides, rounds, warmup=2)
    tokens = np.array([work.batch(0).tokens for work in works.values()])
    times = np.array([statistics.median(seconds[name]) for name in sides])
    over = from_line(tokens, times)
    evaluated = [
        max(r, 1 / r) for r, size in zip(over, works, strict=True) if size >= SMALLEST_EVALUATED
    ]
    report.add(Row(
        "scaling_tokens_worst_over_linear", max(evaluated), TARGET, "lower", rounds=rounds,
        note=f"{tokens[0]} to {tokens[-1]} tokens",
    ))  # fmt: skip
    for i, size in enumerate(works):
        report.details[f"tokens {tokens[i]} (3 x {size}): ms per 1000 tokens"] = round(
            per_token(seconds[str(size)], tokens[i]), 1
        )
        report.details[f"tokens {tokens[i]} (3 x {size}): over the line"] = round(over[i], 3)


def tasks_part(report: Report, data: Path | None, rounds: int) -> None:
    """Time a token against the number of tasks."""
    works = {count: one_batch(data, count, EXAMPLES // count) for count in TASKS}
    sides = {
        f"{kind} {count}": our_step(work, encoder("minilm"), joint=kind == "joint")
        for count, work in works.items()
        for kind in ("joint", "pcgrad")
    }
    seconds = alternate(sides, rounds, warmup=2)
    plain = {
        count: per_token(seconds[f"joint {count}"], work.batch(0).tokens)
        for count, work in works.items()
    }
    report.add(
        Row("scaling_plain_step_tasks", max(plain.values()) / min(plain.values()), TARGET, "lower",
            rounds=rounds, note="most over least time per token, 2 to 32 tasks"),
        overhead(f"scaling_surgery_t{TASKS[-1]}", seconds[f"pcgrad {TASKS[-1]}"],
                 seconds[f"joint {TASKS[-1]}"], None, "PCGrad over our plain step"),
    )  # fmt: skip
    for count in TASKS:
        surgery = overhead("", seconds[f"pcgrad {count}"], seconds[f"joint {count}"], None)
        report.details[f"tasks {count}: ms per 1000 tokens"] = round(plain[count], 1)
        report.details[f"tasks {count}: PCGrad over plain"] = round(surgery.value, 3)


def write_rows(path: Path, rows: int) -> None:
    """Write labelled sentences of random words, the words of the bundled sample."""
    text = (ROOT / "examples" / "sample" / "sentiment-train.tsv").read_text(encoding="utf-8")
    words = np.array(sorted(set(re.findall(r"[a-z]{2,}", text.lower()))))
    rng = np.random.default_rng(0)
    with path.open("w", encoding="utf-8") as file:
        file.write("text\tlabel\n")
        for start in range(0, rows, CHUNK):
            count = min(CHUNK, rows - start)
            drawn, labels = rng.choice(words, (count, WORDS)), rng.integers(3, size=count)
            file.writelines(
                f"{' '.join(sentence)}\t{label}\n"
                for sentence, label in zip(drawn.tolist(), labels.tolist(), strict=True)
            )


def prepare_and_step(path: Path) -> dict[str, Any]:
    """Prepare a run on a file in this process, and take its first steps."""
    from accord.config.file import parse_config
    from accord.plan.making import plan_run
    from accord.training.setup import prepare

    keep_freed_memory()
    task = {"kind": "classification", "train": str(path), "text": "text", "label": "label"}
    start = time.perf_counter()
    setup = prepare(plan_run(parse_config({
        "encoder": {"path": str(minilm_folder())}, "tasks": {"words": task},
        "training": {"device": "cpu"},
    })).only)  # fmt: skip
    prepared, held = time.perf_counter() - start, peak_bytes()
    setup.learner.model.train()
    for step in range(STEPS):
        setup.learner.step(step, setup.batch(step), 1.0)
    return {"bytes": peak_bytes(), "prepared_bytes": held, "seconds": prepared}


def memory_part(report: Report, rows: list[int]) -> None:
    """Peak memory against rows, with the tokens not yet in the cache and in it."""
    peaks: dict[tuple[int, str], dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as name:
        os.environ["ACCORD_CACHE"] = f"{name}/cache"  # the children's
        for count in rows:
            path = Path(name) / f"{count}.tsv"
            progress(f"writing {count} rows")
            write_rows(path, count)
            for run in ("first", "second"):
                progress(f"{count} rows, {run} run")
                peaks[count, run] = in_fresh_process(__file__, "--file", str(path))
    progress("")
    few, many = min(rows), max(rows)
    for row, run, target in (
        ("scaling_memory_1m_over_10k_rows", "first", TARGET),
        ("scaling_memory_1m_over_10k_rows_tokenised_before", "second", None),
    ):
        over, under = peaks[many, run]["bytes"], peaks[few, run]["bytes"]
        note = f"{many} rows {over / MIB:.0f} MiB, {few} rows {under / MIB:.0f} MiB"
        report.add(Row(row, over / under, target, "lower", note=note))
    for (count, run), peak in peaks.items():
        report.details[f"{count} rows, {run} run: seconds of preparation"] = round(
            peak["seconds"], 2
        )
        report.details[f"{count} rows, {run} run: MiB once prepared"] = round(
            peak["prepared_bytes"] / MIB
        )


def main() -> None:
    parser = arguments(__doc__.splitlines()[0], "scaling", rounds=8)
    parser.add_argument("--rows", type=int, nargs=2, default=[10_000, 1_000_000])
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS)
    parser.add_argument("--file", type=Path, help="measure memory on this file, in this process")
    options = parser.parse_args()
    if options.file:
        print(json.dumps(prepare_and_step(options.file)))
        return
    report = Report("Our step's growth with tokens and tasks, and memory's with rows")
    if "memory" in options.only:
        memory_part(report, options.rows)  # first: this process is still small
    keep_freed_memory()
    if "tokens" in options.only:
        tokens_part(report, options.data, options.rounds)
    if "tasks" in options.only:
        tasks_part(report, options.data, options.rounds)
    report.finish(options.output)


if __name__ == "__main__":
    main()
