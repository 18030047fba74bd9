"""What a run leaves: dev figures each epoch, the best model, predictions, results."""

from __future__ import annotations

import contextlib
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from accord.best import stage_best
from accord.checkpoint import Progress
from accord.errors import TrainingError
from accord.estimate import duration
from accord.exposure import exposures
from accord.inference import head_logits, judge, logits_of, split_logits
from accord.leaderboard import COLUMNS
from accord.loader import TaskData
from accord.memory import peak_memory_bytes
from accord.metrics import overall_score
from accord.predictions import write_predictions
from accord.progress import Bar, Console
from accord.run_folder import RunFolder
from accord.saved_model import load_model, save_model
from accord.setup import Setup, input_formats


def evaluate_epoch(
    setup: Setup, run: RunFolder, progress: Progress, console: Console, bar: Bar
) -> None:
    """Judge the model on every dev split; stage it if it is the best so far.

    Raises:
        TrainingError: if a prediction is not finite.
    """
    averages = setup.learner.averages
    with contextlib.nullcontext() if averages is None else averages.in_place():
        _evaluate(setup, run, progress, console, bar)


def _evaluate(setup: Setup, run: RunFolder, progress: Progress, console: Console, bar: Bar) -> None:
    started = time.perf_counter()
    data, model = setup.data, setup.learner.model
    bar.advance(0, f"evaluating {sum(map(len, data.dev)):,} dev rows")
    if setup.dev_features is not None:
        logits = [head_logits(model, i, own) for i, own in enumerate(setup.dev_features)]
    else:
        logits = logits_of(
            model, data.dev, data.assembler, products=setup.learner.products,
            advance=lambda rows: run.beat(progress.step),
        )  # fmt: skip
    epoch = progress.step // setup.sampler.steps
    for own, part in zip(data.dev, logits, strict=True):
        _check_finite(own, part, epoch)
    judged = {own.task.name: judge(own, part) for own, part in zip(data.dev, logits, strict=True)}
    metrics = {name: evaluation.metric for name, evaluation in judged.items()}
    record = {
        "kind": "dev",
        "epoch": epoch,
        "step": progress.step,
        "metrics": metrics,
        "sum": sum(metrics.values()),
        "score": overall_score(
            setup.config.score, metrics, {task.name: task.metric for task in data.tasks}
        ),
        "figures": {name: evaluation.figures for name, evaluation in judged.items()},
    }
    progress.evaluations.append(record)
    run.append_metrics({**record, "seconds": time.perf_counter() - started})
    best = progress.best is None or record["sum"] > progress.evaluations[progress.best]["sum"]
    if best:
        progress.best = len(progress.evaluations) - 1
        _stage_best(setup, run, progress, logits)
    shown = "  ".join(f"{task.name} {task.metric} {metrics[task.name]:.3f}" for task in data.tasks)
    line = f"epoch {record['epoch']}/{setup.config.training.epochs}  {shown}"
    console.say(line + "  (best so far)" * best)
    run.log(line)


def _stage_best(
    setup: Setup, run: RunFolder, progress: Progress, logits: list[torch.Tensor]
) -> None:
    """Keep the model and its dev predictions, as the paper does: by the sum of dev metrics."""
    formats, assembler = input_formats(setup.config), setup.data.assembler

    def write(folder: Path) -> None:
        save_model(setup.learner.model, folder, formats, assembler.max_length, setup.encoder_folder)
        for own, part in zip(setup.data.dev, logits, strict=True):
            _write(setup, folder, own, part, "dev")

    stage_best(run, progress, write)


def _write(setup: Setup, folder: Path, own: TaskData, logits: torch.Tensor, split: str) -> None:
    ids = [own.store.ids[int(row)] for row in own.rows]
    name = f"{own.task.name}-{split}"
    labels = own.labels if split == "dev" else None
    write_predictions(folder / f"{name}.csv", logits, own.task, ids, "csv", labels)
    if setup.config.score == "cs224n" and own.task.kind in COLUMNS:
        path = folder / f"{name}-leaderboard.csv"
        write_predictions(path, logits, own.task, ids, "cs224n")


def _check_finite(own: TaskData, logits: torch.Tensor, epoch: int) -> None:
    """Check that a model gives numbers: weights may have overflowed in an epoch's last step."""
    bad = (~logits.isfinite().all(dim=1)).nonzero()[:, 0]
    if len(bad):
        ids = ", ".join(own.store.ids[int(own.rows[row])] for row in bad[:8].tolist())
        raise TrainingError(
            f"epoch {epoch}: the predictions of {own.task.name} are not finite for {len(bad)} of"
            f" {len(own)} dev rows, as {ids}; a smaller training.lr may help"
        )


def _exposure(setup: Setup, steps: int) -> dict[str, Any]:
    seen = exposures(
        setup.sampler, setup.data.train, setup.data.assembler, steps,
        frozen=setup.config.encoder.mode == "frozen",
    )  # fmt: skip
    return {name: asdict(own) for name, own in seen.items()}


def finish(setup: Setup, run: RunFolder, progress: Progress, console: Console) -> dict[str, Any]:
    """Predict the test files with the best model, and write `results.json`."""
    assert progress.best is not None  # every epoch ends with an evaluation
    best = progress.evaluations[progress.best]
    if setup.data.test:
        console.say("predicting the test files with the best model")
        model, _, _ = load_model(run.model)
        model.to(setup.device)
        for own in setup.data.test:
            logits = split_logits(model, own, setup.data.assembler, products=setup.learner.products)
            _write(setup, run.predictions, own, logits, "test")
    results = {
        "metrics": best["metrics"],
        "metric_names": {task.name: task.metric for task in setup.data.tasks},
        "figures": best["figures"],
        "score": best["score"],
        "score_kind": setup.config.score,
        "mean": overall_score("mean", best["metrics"], {}),
        "best_epoch": best["epoch"],
        "epochs": progress.evaluations,
        "steps": progress.step,
        "skipped_steps": progress.skipped,
        "exposure": _exposure(setup, progress.step),
        "train_seconds": round(progress.train_seconds, 3),
        "own_parameters": {
            task.name: sum(p.numel() for p in setup.learner.model.own_parameters(i))
            for i, task in enumerate(setup.data.tasks)
        },
        "parameters": sum(p.numel() for p in setup.learner.model.parameters()),
        "peak_memory_bytes": peak_memory_bytes(),
    }
    run.write_json("results.json", results)
    console.say(
        f"done: best epoch {best['epoch']}, {setup.config.score} score {best['score']:.4f},"
        f" {duration(progress.train_seconds)} of training; model in {run.model}"
    )
    return results
