"""The recipe's real training: MiniLM, the course's three tasks, PCGrad, bfloat16, 1,521 steps."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from epoch import task_tables
from workload import data_folder, minilm_folder

from accord.config.file import parse_config
from accord.plan.making import plan_run
from accord.training.run import start_run
from accord.training.setup import prepare
from gpu.figures import Figure, Recorder
from gpu.settings import Settings

EPOCHS, STEPS, TRIED = 3, 507, 30  # an epoch has as many steps as Quora's rows ask for
RESERVE = 25.0  # seconds for what is not steps


def measure(recorder: Recorder, settings: Settings) -> None:
    """Try a few steps, then train as much of the recipe as the time allows."""
    folder = Path(tempfile.mkdtemp(prefix="gpu-train-"))
    results: dict[str, float] = {}
    prefix = "" if settings.gpu else "tiny "

    def trial() -> None:
        start = time.perf_counter()
        train(settings, folder / "trial", 1, TRIED if settings.gpu else 2)
        whole = time.perf_counter() - start
        lines = records(folder / "trial")
        seconds = [line["seconds"] for line in lines if line["kind"] == "step"]
        results["rate"] = statistics.median(seconds)
        # Reading and tokenising come before it, and are not done again by the run that follows.
        note = f"the next {seconds[1]:.2f}; the trial took {whole:.0f} in all"
        recorder.add(Figure(f"{prefix}first step s", seconds[0], note=note))

    recorder.check("a trial", trial)
    if results:
        recorder.check("recipe", partial(recipe, recorder, settings, folder, results["rate"]))


def config_table(settings: Settings, epochs: int, steps: int | None) -> dict[str, Any]:
    """The recipe as a nested mapping."""
    tasks = task_tables(data_folder(settings.data), "mean")
    ranges = {"sts": [0, 5], "similarity": [0, 5]}
    for name in tasks.keys() & ranges.keys():
        tasks[name]["range"] = ranges[name]
    training: dict[str, Any] = {
        "epochs": epochs, "batch_size": 32 if settings.gpu else 4, "batching": "finish-largest",
        "gradients": "pcgrad", "lr": 1e-4, "precision": "bfloat16", "device": str(settings.device),
    }  # fmt: skip
    if steps is not None:
        training["steps_per_epoch"] = steps
    return {"encoder": {"path": str(minilm_folder())}, "tasks": tasks, "training": training}


def train(settings: Settings, out: Path, epochs: int, steps: int | None) -> dict[str, Any]:
    """Train, and return what the run left."""
    config = parse_config(config_table(settings, epochs, steps))
    return start_run(plan_run(config).only, out, quiet=True).results


def records(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def recipe(recorder: Recorder, settings: Settings, folder: Path, rate: float) -> None:
    """Train the recipe, or its first part: said so."""
    fits = int((recorder.left - RESERVE) / max(rate, 1e-4) / EPOCHS)
    steps = min(STEPS, max(10, fits)) if settings.gpu else 2
    config = parse_config(config_table(settings, EPOCHS, steps))
    expected = prepare(plan_run(config).only).estimate().seconds
    start = time.perf_counter()
    results = train(settings, folder / "run", EPOCHS, steps)
    whole = time.perf_counter() - start
    taken = results["steps"]
    each = results["train_seconds"] / taken
    evaluated = sum(line["seconds"] for line in records(folder / "run")
                    if line["kind"] != "step" and "seconds" in line)  # fmt: skip
    actual = results["train_seconds"] + evaluated
    cut = "" if taken == EPOCHS * STEPS else f"CUT to {taken} steps, from whose rate this is"
    scores = ", ".join(f"{task} {value:.3f}" for task, value in results["metrics"].items())
    name = "recipe" if settings.gpu else "tiny recipe"
    recorder.add(
        Figure(f"{name} {EPOCHS * STEPS} steps s", each * EPOCHS * STEPS, note=cut),
        Figure(f"{name}, all of it s", whole, note="with reading, evaluations and files"),
        Figure(f"{name} ms per step", each * 1e3),
        Figure(
            f"{name} estimate, off by",
            abs(expected / actual - 1),
            note=f"{expected:.1f} s expected, {actual:.1f} taken by steps and evaluations",
        ),
        Figure(f"{name} score", results["score"], note=scores),
    )
