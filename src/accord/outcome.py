"""What a run leaves: dev figures each epoch, the best model, predictions, results."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import torch

from accord.checkpoint import Progress
from accord.durable import replace_folder
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
    """Judge the model on every dev split; keep it if it is the best so far."""
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
    judged = {own.task.name: judge(own, part) for own, part in zip(data.dev, logits, strict=True)}
    metrics = {name: evaluation.metric for name, evaluation in judged.items()}
    record = {
        "kind": "dev",
        "epoch": progress.step // setup.sampler.shape.steps,
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
        _save_best(setup, run, logits)
    shown = "  ".join(f"{task.name} {task.metric} {metrics[task.name]:.3f}" for task in data.tasks)
    line = f"epoch {record['epoch']}/{setup.config.training.epochs}  {shown}"
    console.say(line + "  (best so far)" * best)
    run.log(line)


def _save_best(setup: Setup, run: RunFolder, logits: list[torch.Tensor]) -> None:
    """Keep the model and its dev predictions, as the paper does: by the sum of dev metrics."""
    formats, assembler = input_formats(setup.config), setup.data.assembler
    replace_folder(
        run.model,
        lambda folder: save_model(
            setup.learner.model, folder, formats, assembler.max_length, setup.encoder_folder
        ),
    )
    for own, part in zip(setup.data.dev, logits, strict=True):
        _write(setup, run, own, part, "dev")


def _write(setup: Setup, run: RunFolder, own: TaskData, logits: torch.Tensor, split: str) -> None:
    ids = [own.store.ids[int(row)] for row in own.rows]
    name = f"{own.task.name}-{split}"
    labels = own.labels if split == "dev" else None
    write_predictions(run.predictions / f"{name}.csv", logits, own.task, ids, "csv", labels)
    if setup.config.score == "cs224n" and own.task.kind in COLUMNS:
        path = run.predictions / f"{name}-leaderboard.csv"
        write_predictions(path, logits, own.task, ids, "cs224n")


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
            _write(setup, run, own, logits, "test")
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
        "parameters": sum(p.numel() for p in setup.learner.model.parameters()),
        "peak_memory_bytes": peak_memory_bytes(),
    }
    run.write_json("results.json", results)
    console.say(
        f"done: best epoch {best['epoch']}, {setup.config.score} score {best['score']:.4f},"
        f" {duration(progress.train_seconds)} of training; model in {run.model}"
    )
    return results
