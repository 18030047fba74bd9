"""What a run prints: its first lines, warnings, and a line of `metrics.jsonl` for each step."""

from __future__ import annotations

import math
from typing import Any

import torch

from accord import balancing
from accord.data.batches import StepBatch
from accord.plan.run import StagePlan
from accord.plural import count
from accord.runs.folder import RunFolder
from accord.runs.progress import Console
from accord.training.checkpoint import RunState
from accord.training.setup import Setup
from accord.training.step import StepRecord


def step_line(
    setup: Setup, progress: RunState, batch: StepBatch, record: StepRecord, seconds: float
) -> dict[str, Any]:
    """Return a step's line of `metrics.jsonl`; only its last two fields are timings.

    Of the Gram matrix it has the lower triangle, one row per source in the order of
    `task_gradient_norms`, six digits per value: with dozens of tasks it is most of the file.
    """
    names = [setup.sources[i].name for i in batch.sources]
    line: dict[str, Any] = {
        "kind": "step",
        "step": progress.step,
        "epoch": (progress.step - 1) // setup.sampler.steps + 1,
        "losses": {name: _number(loss) for name, loss in record.losses.items()},
        "loss_weights": dict(zip(names, record.balance, strict=False)),
        "gradient_norm": _number(record.gradient_norm),
        "lr": [group["lr"] for group in setup.learner.optimizer.param_groups],
        "tokens": batch.tokens,
    }
    if record.skipped:
        line["skipped"] = True
    if record.penalty is not None:
        line["sharing_penalty"] = record.penalty
    if record.gramian is not None:
        norms = record.gramian.diagonal().clamp(min=0).sqrt()
        line |= {
            "task_gradient_norms": dict(zip(names, map(_short, norms.tolist()), strict=True)),
            "gramian": [
                [_short(value) for value in row[: i + 1]]
                for i, row in enumerate(record.gramian.tolist())
            ],
            "method_weights": _by_task(names, record.weights),
        }
    return {**line, "seconds": seconds, "tokens_per_second": batch.tokens / seconds}


def _by_task(names: list[str], weights: list[list[float]]) -> dict[str, Any]:
    """Return each task's weight, or its weight in each group of parameters."""
    columns = zip(*weights, strict=True)
    return {
        name: _short(column[0]) if len(column) == 1 else [_short(value) for value in column]
        for name, column in zip(names, columns, strict=False)
    }


def _number(value: float) -> float | None:
    """JSON has no word for what is not finite."""
    return value if math.isfinite(value) else None


def _short(value: float) -> float | None:
    """Return six digits of a value."""
    return _number(float(f"{value:.6g}"))


def headline(setup: Setup) -> list[str]:
    """Return what a run is about to do: rows, steps, methods, and what tasks have of their own."""
    settings = setup.plan.training
    finished = setup.plan.finished
    rows = ", ".join(
        f"{split.task.name} {len(split):,}{' remembered' * (split.task.name in finished)}"
        f" (dev {len(dev):,})"
        for split, dev in zip(setup.data.train, setup.data.dev, strict=True)
    )
    plain = settings.balancing == balancing.DEFAULT
    methods = [settings.batching, *([] if plain else [settings.balancing])]
    methods.append(settings.gradients)
    if settings.by_layer:
        methods[-1] += " by layer"
    methods += settings.regularisers
    steps = (
        f"{count(settings.epochs, 'epoch')} of {count(setup.sampler.steps, 'step')},"
        f" {', '.join(methods)}, {setup.plan.encoder.mode}, {settings.precision} on"
        f" {setup.device}, {count(torch.get_num_threads(), 'thread')}{_non_defaults(setup.plan)}"
    )
    return [rows, *_source_lines(setup), steps, *_sharing_lines(setup)]


def _source_lines(setup: Setup) -> list[str]:
    """Say which tasks label the same rows, and how many these are."""
    return [
        f"{', '.join(part.task.name for part in source.parts)}: one source of {len(source):,} rows,"
        " packed once"
        for source in setup.sources if len(source.parts) > 1
    ]  # fmt: skip


def _non_defaults(plan: StagePlan) -> str:
    """Say what of the training differs from the defaults, apart from methods."""
    encoder, training, sharing = plan.encoder, plan.training, plan.sharing
    settings_text = {
        f"the last {encoder.reinit_layers} layers reinitialised": encoder.reinit_layers > 0,
        f"layer decay {training.layer_decay:g}": training.layer_decay < 1,
        f"layers thawed over {training.unfreeze_over:.0%} of the run": training.unfreeze_over > 0,
        f"stops after {count(training.patience or 0, 'epoch')} without a gain of"
        f" {training.stop_on}": training.patience is not None,
        "shared weights kept as they are": not sharing.train_shared,
        f"copies held together by {sharing.soft}, {sharing.soft_weight:g}": bool(sharing.soft),
        f"{plan.averaging.method} of the weights": plan.averaging.method != "none",
        "one gradient for all": not training.gramian,
    }
    return "".join(f"; {text}" for text, holds in settings_text.items() if holds)


def _sharing_lines(setup: Setup) -> list[str]:
    """Say what share of the parameters each task has of its own, where it has more than a head."""
    model = setup.learner.model
    if model.parts is None:
        return []
    parameters = sum(parameter.numel() for parameter in model.parts.of_task(0))
    encoder = sum(parameter.numel() for parameter in model.encoder.parameters())
    return [
        f"{', '.join(setup.plan.sharing.schemes)}: {parameters:,} parameters of each task's own,"
        f" {100 * parameters / encoder:.2g} % of the encoder's; {count(len(model.tasks), 'task')},"
        f" {1 + len(model.tasks) * parameters / encoder:.3g} times the encoder in all"
    ]


def say(run: RunFolder, console: Console, *lines: str) -> None:
    """Say what a run does, and keep it in the log."""
    for line in lines:
        console.say(line)
        run.log(line)


def warn(run: RunFolder, console: Console, text: str) -> None:
    """Say a warning, and keep it in the log."""
    console.say(f"warning: {text}")
    run.log(text, "WARNING")
