"""A run: steps, an evaluation each epoch, checkpoints, the best model kept."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from accord.checkpoint import (
    Progress,
    complete_checkpoints,
    load_checkpoint,
    read_progress,
    save_checkpoint,
)
from accord.config import Config
from accord.errors import AccordError, RunFolderError, Stopped, TrainingError
from accord.loader import StepBatch
from accord.memory import keep_freed_memory, release_freed_memory
from accord.outcome import evaluate_epoch, finish
from accord.products import Products, onednn_is_exact
from accord.progress import Bar, Console
from accord.run_folder import RunFolder, environment
from accord.schedules import lr_factor
from accord.setup import Setup, prepare
from accord.signals import StopSignals
from accord.step import StepRecord

EVERY_STEPS = 500
_TIDY_STEPS = 50


@dataclass(frozen=True)
class Run:
    """A finished run: its folder and what `results.json` holds."""

    folder: Path
    results: dict[str, Any]


def start_run(config: Config, out: Path, *, source: str | None = None, quiet: bool = False) -> Run:
    """Train from the beginning.

    Args:
        config: of the run.
        out: the run's folder; must not hold anything yet.
        source: the config file's text, kept as given.
        quiet: no progress on stderr.

    Raises:
        UsageError: something is wrong with config, data, encoder or `out`; nothing was written.
        TrainingError: a loss or gradient was not finite.
        Stopped: a signal came; `resume_run` goes on.
    """
    console = Console(quiet)
    RunFolder.check_free(out)
    setup = prepare(config, console.say)
    expected = setup.estimate()
    run = RunFolder.create(out)
    if source is not None:
        (out / "config.toml").write_text(source, encoding="utf-8")
    run.write_json("resolved.json", _resolved(setup, run))
    return _train(setup, run, Progress(), console, f"expected: {expected}")


def resume_run(folder: Path, *, quiet: bool = False) -> Run:
    """Go on with a run from its last complete checkpoint, or from the start if there is none.

    Args:
        folder: of the run.
        quiet: no progress on stderr.

    Raises:
        RunFolderError: if there is no run, or its data or config are no longer what they were.
    """
    console = Console(quiet)
    run = RunFolder.open(folder)
    if run.state() == "done":
        console.say(f"{folder}: this run is done; nothing to resume")
        return Run(folder, run.read_json("results.json"))
    setup = _prepare_again(run, console)
    checkpoints = complete_checkpoints(run.checkpoints)
    if not checkpoints:
        return _train(setup, run, Progress(), console, "no checkpoint yet: starting over")
    progress = read_progress(checkpoints[0])
    if progress.fingerprint != setup.fingerprint:
        raise RunFolderError(f"{checkpoints[0]}: is of another run")
    load_checkpoint(checkpoints[0], setup.learner)
    note = f"resuming after step {progress.step} of {setup.total_steps}"
    if progress.threads != torch.get_num_threads():
        note += f"; with {torch.get_num_threads()} threads, not {progress.threads}: sums may differ"
    return _train(setup, run, progress, console, note)


def _prepare_again(run: RunFolder, console: Console) -> Setup:
    """Prepare a run as it was when it began, or refuse to mix two."""
    begun, config = run.read_json("resolved.json"), run.config()
    setup = prepare(config, console.say, _products(begun, run, console))
    now = {"fingerprint": setup.fingerprint, "config_toml": _source_hash(run)}
    if any(begun.get(name) != value for name, value in now.items()):
        raise RunFolderError(f"{run.path}: the data or the config changed since this run began")
    return setup


def _products(begun: dict[str, Any], run: RunFolder, console: Console) -> Products:
    """Return how a run multiplied when it began: its later steps have to do so too."""
    try:
        products = Products(**begun["products"])
    except (KeyError, TypeError):
        raise RunFolderError(f"{run.path / 'resolved.json'}: 'products' can't be read") from None
    if products.onednn and not onednn_is_exact():
        console.say(
            "warning: this run began with oneDNN's float32 products, which are not exact on this"
            " processor; it goes on with torch's default ones, and its bits differ"
        )
        return dataclasses.replace(products, onednn=False)
    return products


def _source_hash(run: RunFolder) -> str | None:
    file = run.path / "config.toml"
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None


def _train(setup: Setup, run: RunFolder, progress: Progress, console: Console, note: str) -> Run:
    keep_freed_memory()
    progress.fingerprint, progress.threads = setup.fingerprint, torch.get_num_threads()
    run.write_json("environment.json", environment(progress.threads, str(setup.device)))
    run.truncate_metrics(progress.step)
    run.set_status("running", step=progress.step, steps=setup.total_steps)
    for line in (_headline(setup), note):
        console.say(line)
        run.log(line)
    try:
        with StopSignals(at_once=True):
            if setup.config.encoder.mode == "frozen":
                console.say("encoding the training and dev data once")
                setup.encode_data()
            _loop(setup, run, progress, console)
            results = finish(setup, run, progress, console)
    except BaseException as error:
        known = _in_words(run, error)
        with contextlib.suppress(OSError):  # a full disk has no room for this either
            _record_failure(run, progress, known)
        if known is error:
            raise
        raise known from error
    run.set_status("done", step=progress.step, steps=setup.total_steps)
    return Run(run.path, results)


def _loop(setup: Setup, run: RunFolder, progress: Progress, console: Console) -> None:
    """Take the steps that are left."""
    settings, steps = setup.config.training, setup.sampler.shape.steps
    warmup = round(settings.warmup * setup.total_steps)
    every = setup.config.checkpoint.every_steps or EVERY_STEPS
    bar = Bar(console, "step", setup.total_steps, progress.step)
    with StopSignals() as signals, bar:
        for step in range(progress.step, setup.total_steps):
            started = time.perf_counter()
            setup.learner.model.train()
            batch = setup.batch(step)
            factor = lr_factor(settings.schedule, step, setup.total_steps, warmup)
            record = setup.learner.step(step, batch, factor)
            progress.step = step + 1
            progress.train_seconds += time.perf_counter() - started
            run.append_metrics(
                _step_record(setup, progress, batch, record, time.perf_counter() - started)
            )
            bar.advance(1, " ".join(f"{k} {v:.3f}" for k, v in record.losses.items()))

            if progress.step % _TIDY_STEPS == 0:
                release_freed_memory()
            epoch_ends = progress.step % steps == 0
            if epoch_ends:
                evaluate_epoch(setup, run, progress, console, bar)
            if epoch_ends or progress.step % every == 0 or signals.received:
                keep = setup.config.checkpoint.keep
                save_checkpoint(run.checkpoints, setup.learner, progress, keep)
                run.set_status("running", step=progress.step, steps=setup.total_steps)
            if signals.received and progress.step < setup.total_steps:
                name = signal.Signals(signals.received).name
                raise Stopped(
                    f"{name} after step {progress.step} of {setup.total_steps}; "
                    f"'accord resume {run.path}' goes on",
                    128 + signals.received,
                )


def _in_words(run: RunFolder, error: BaseException) -> BaseException:
    """Say what a full memory or disk means for the run."""
    if isinstance(error, torch.OutOfMemoryError):
        return TrainingError(
            "out of memory: set training.micro_batch_tokens or encoder.gradient_checkpointing;"
            f" '{str(error).splitlines()[0]}'"
        )
    if isinstance(error, OSError):
        return TrainingError(f"{run.path}: {error}; 'accord resume {run.path}' goes on")
    return error


def _record_failure(run: RunFolder, progress: Progress, error: BaseException) -> None:
    if isinstance(error, Stopped | KeyboardInterrupt):
        run.set_status("stopped", step=progress.step, resumable=True)
    else:
        reason = str(error) if isinstance(error, AccordError) else repr(error)
        run.set_status("failed", step=progress.step, reason=reason)
    run.log(f"{type(error).__name__}: {error}")


def _step_record(
    setup: Setup, progress: Progress, batch: StepBatch, record: StepRecord, seconds: float
) -> dict[str, Any]:
    """Return a step's line of `metrics.jsonl`; only its last two fields are timings."""
    names = [setup.data.tasks[i].name for i in batch.present]
    line: dict[str, Any] = {
        "kind": "step",
        "step": progress.step,
        "epoch": (progress.step - 1) // setup.sampler.shape.steps + 1,
        "losses": record.losses,
        "loss_weights": dict(zip(names, batch.loss_weights, strict=True)),
        "gradient_norm": record.gradient_norm,
        "lr": [group["lr"] for group in setup.learner.optimizer.param_groups],
        "tokens": batch.tokens,
    }
    if record.gramian is not None:
        norms = record.gramian.diagonal().clamp(min=0).sqrt()
        cosines = record.gramian / torch.outer(norms, norms).clamp(min=1e-300)
        line |= {
            "task_gradient_norms": dict(zip(names, norms.tolist(), strict=True)),
            "cosines": {
                f"{names[i]},{names[j]}": float(cosines[i, j])
                for i in range(len(names))
                for j in range(i)
            },
            "gramian": record.gramian.tolist(),
            "method_weights": dict(zip(names, record.weights, strict=True)),
        }
    return {**line, "seconds": seconds, "tokens_per_second": batch.tokens / seconds}


def _headline(setup: Setup) -> str:
    settings, shape = setup.config.training, setup.sampler.shape
    rows = ", ".join(
        f"{own.task.name} {len(own):,} (dev {len(dev):,})"
        for own, dev in zip(setup.data.train, setup.data.dev, strict=True)
    )
    return (
        f"{rows}\n{settings.epochs} epochs of {shape.steps} steps, {settings.batching},"
        f" {settings.gradients}, {setup.config.encoder.mode}, {settings.precision}"
        f" on {setup.device}, {torch.get_num_threads()} threads"
    )


def _resolved(setup: Setup, run: RunFolder) -> dict[str, Any]:
    return {
        "config": setup.config.model_dump(mode="json"),
        "tasks": [task.to_json() for task in setup.data.tasks],
        "epoch": dataclasses.asdict(setup.sampler.shape),
        "max_length": setup.data.assembler.max_length,
        "products": dataclasses.asdict(setup.learner.products),
        "fingerprint": setup.fingerprint,
        "config_toml": _source_hash(run),
    }
