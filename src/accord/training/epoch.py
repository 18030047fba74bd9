"""An epoch's end: the model evaluated on every dev split, and kept if it is the best so far."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from accord.data.loader import TaskData
from accord.errors import TrainingError
from accord.evaluation.dev import DevResult, evaluate_all
from accord.evaluation.inference import head_logits, logits_of
from accord.evaluation.leaderboard import leaderboard_kinds
from accord.evaluation.predictions import (
    has_ids,
    write_leaderboard,
    write_split_predictions,
)
from accord.evaluation.thresholds import tuned_task
from accord.kinds import kind_of
from accord.model.saved import save_model
from accord.optim.averaging import trained
from accord.runs.folder import RunFolder
from accord.runs.progress import Bar, Console
from accord.training.best import stage_best
from accord.training.checkpoint import RunState
from accord.training.kept_epochs import keep_epoch
from accord.training.setup import Setup, input_formats


def evaluate_epoch(
    setup: Setup, run: RunFolder, progress: RunState, console: Console, bar: Bar
) -> None:
    """Evaluate the model on every dev split; stage it if it is the best so far.

    Raises:
        TrainingError: if a prediction is not finite.
    """
    averages = setup.learner.averages
    with contextlib.nullcontext() if averages is None else averages.in_place():
        _evaluate(setup, run, progress, console, bar)


def _evaluate(setup: Setup, run: RunFolder, progress: RunState, console: Console, bar: Bar) -> None:
    started, data = time.perf_counter(), setup.data
    bar.advance(0, f"evaluating {sum(map(len, data.dev)):,} dev rows")
    logits = dev_logits(setup, run, progress)
    epoch = progress.step // setup.sampler.steps
    for split, part in zip(data.dev, logits, strict=True):
        _check_finite(split, part, epoch)
    result = evaluate_all(data.dev, logits, setup.plan.score, setup.plan.finished)
    record = {"kind": "dev", "epoch": epoch, "step": progress.step, **result.record()}
    progress.evaluations.append(record)
    run.append_metrics({**record, "seconds": time.perf_counter() - started})
    best = progress.best is None or record["sum"] > progress.evaluations[progress.best]["sum"]
    if best:
        progress.best = len(progress.evaluations) - 1
        stage_best(run, progress, lambda folder: write_evaluated(setup, folder, logits))
    soup = setup.plan.averaging.method == "soup"
    keep_epoch(
        run, progress,
        {split.task.name: part for split, part in zip(data.dev, logits, strict=True)},
        trained(setup.learner.model.named_parameters()) if soup else None,
    )  # fmt: skip
    line = f"epoch {epoch}/{setup.plan.training.epochs}  {metrics_line(setup, result)}"
    console.say(line + "  (best so far)" * best)
    run.log(line)


def dev_logits(setup: Setup, run: RunFolder, progress: RunState) -> list[torch.Tensor]:
    """Compute the logits of every dev row with the weights that the model has now."""
    model = setup.learner.model
    if setup.dev_features is not None:
        logits = head_logits(model, dict(enumerate(setup.dev_features)))
        return [logits[task] for task in range(len(logits))]
    return logits_of(
        model, setup.data.dev, setup.data.assembler, matmul=setup.learner.objective.matmul,
        advance=lambda rows: run.beat(progress.step),
    )  # fmt: skip


def write_evaluated(setup: Setup, folder: Path, logits: Sequence[torch.Tensor]) -> None:
    """Write the model as it is now and its dev predictions: one folder of a best model."""
    formats, assembler = input_formats(setup.plan), setup.data.assembler
    parts = [
        replace(split, task=tuned_task(split, part))
        for split, part in zip(setup.data.dev, logits, strict=True)
    ]
    save_model(
        setup.learner.model, folder, formats, assembler.max_length, setup.encoder_folder,
        {part.task.name: part.task.thresholds for part in parts}, setup.origins(),
    )  # fmt: skip
    for split, part in zip(parts, logits, strict=True):
        if split.task.labelled:
            write_split(setup, folder, split, part, "dev")


def metrics_line(setup: Setup, result: DevResult) -> str:
    """Return each task's metric as a line shows it."""
    parts = []
    for task in setup.data.tasks:
        value = result.metrics.get(task.name)
        if value is None:  # of texts without labels, beside tasks with some
            value = result.figures[task.name][task.metric_name]
        form = kind_of(task).metric_format
        parts.append(f"{task.name} {task.metric_name} {value:{form}}")
    return "  ".join(parts)


def write_split(
    setup: Setup, folder: Path, data: TaskData, logits: torch.Tensor, split: str
) -> None:
    """Write a task's predictions for its dev or test rows."""
    name = f"{data.task.name}-{split}"
    labels = data.labels if split == "dev" else None
    write_split_predictions(folder / f"{name}.csv", logits, data, labels)
    if setup.plan.score == "cs224n" and data.task.kind in leaderboard_kinds() and has_ids(data):
        path = folder / f"{name}-leaderboard.csv"
        write_leaderboard(path, logits, data)


def _check_finite(data: TaskData, logits: torch.Tensor, epoch: int) -> None:
    """Check that a model gives numbers: weights may have overflowed in an epoch's last step."""
    bad = kind_of(data.task).failed(logits).nonzero()[:, 0]
    if len(bad):
        ids = ", ".join(data.store.row_name(int(data.rows[row])) for row in bad[:8].tolist())
        raise TrainingError(
            f"epoch {epoch}: the predictions of {data.task.name} are not finite for {len(bad)} of"
            f" {len(data)} dev rows, as {ids}; a smaller training.lr may help"
        )
