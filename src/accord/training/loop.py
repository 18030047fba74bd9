"""A run's steps: one after the other, with what is due between them."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from accord.data.batches import StepBatch
from accord.errors import Stopped
from accord.optim.schedules import lr_factor
from accord.runs.folder import RunFolder
from accord.runs.memory import release_freed_memory
from accord.runs.progress import Bar, Console
from accord.runs.signals import StopSignals
from accord.training.batches import Batches
from accord.training.best import publish_best
from accord.training.cadence import Cadence
from accord.training.checkpoint import RunState, save_checkpoint
from accord.training.epoch import evaluate_epoch
from accord.training.halves import half_cosines
from accord.training.lines import say, step_line, warn
from accord.training.measurement import NotFinite
from accord.training.nonfinite import blame
from accord.training.setup import Setup
from accord.training.step import StepRecord
from accord.training.stopping import early_stop

Watch = Callable[[Sequence[dict[str, Any]]], None]
"""Is shown the evaluations of all epochs so far before another one begins; may raise `Pruned`."""

_TIDY_STEPS = 50


def take_steps(
    setup: Setup, run: RunFolder, progress: RunState, console: Console, watch: Watch | None
) -> None:
    """Take the steps that are left."""
    settings, steps = setup.plan.training, setup.sampler.steps
    warmup = round(settings.warmup * setup.total_steps)
    cadence = Cadence(setup.plan.checkpoint)
    bar = Bar(console, "step", setup.total_steps, progress.step)
    with StopSignals() as signals, bar, Batches(setup) as batches:
        for step in _steps_left(setup, run, progress, console, watch):
            started = time.perf_counter()
            setup.learner.model.train()
            batch = batches.take(step)
            factor = lr_factor(settings.schedule, step, setup.total_steps, warmup)
            record = _take(setup, progress, step, batch, factor)
            progress.step = step + 1
            progress.train_seconds += time.perf_counter() - started
            progress.skipped += record.skipped
            run.append_metrics(
                step_line(setup, progress, batch, record, time.perf_counter() - started)
            )
            bar.advance(1, " ".join(f"{k} {v:z.3f}" for k, v in record.losses.items()))
            run.beat(progress.step)
            if record.skipped:
                _say_skipped(setup, run, progress, console)

            if _halves_are_due(setup, progress.step):
                run.append_metrics(_halves_record(setup, progress.step))
            if progress.step % _TIDY_STEPS == 0:
                release_freed_memory()
            epoch_ends = progress.step % steps == 0
            if epoch_ends:
                evaluate_epoch(setup, run, progress, console, bar)
            if epoch_ends or cadence.is_due(progress.step) or signals.received or signals.save:
                signals.save = False
                keep = setup.plan.checkpoint.keep
                run.sync_metrics()
                save_checkpoint(run.checkpoints, setup.learner, progress, keep)
                if epoch_ends and progress.best_step == progress.step:
                    publish_best(run, progress)
                cadence.saved()
                run.set_status("running", step=progress.step, steps=setup.total_steps)
            if signals.received and progress.step < setup.total_steps:
                name = signal.Signals(signals.received).name
                raise Stopped(
                    f"{name} after step {progress.step} of {setup.total_steps}; "
                    f"'accord resume {run.path}' goes on",
                    128 + signals.received,
                )


def _steps_left(
    setup: Setup, run: RunFolder, progress: RunState, console: Console, watch: Watch | None
) -> Iterator[int]:
    """Yield the steps that are left, counted from 0; before an epoch's first, look whether there is
    to be another epoch."""
    for step in range(progress.step, setup.total_steps):
        if step % setup.sampler.steps == 0 and progress.evaluations:
            if early := early_stop(setup.plan, progress.evaluations):
                say(run, console, early.line)
                return
            if watch is not None:
                watch(progress.evaluations)
        yield step


def _take(
    setup: Setup, progress: RunState, step: int, batch: StepBatch, lr_factor: float
) -> StepRecord:
    """Take a step, or leave it out if something is not finite and steps may still be left out.

    Raises:
        NonFiniteError: if they may not; names the examples.
    """
    try:
        return setup.learner.step(step, batch, lr_factor)
    except NotFinite as error:
        if progress.skipped >= setup.plan.training.max_skipped_steps:
            raise blame(setup.learner, error, batch) from None
        names = [setup.data.tasks[i].name for i in batch.present]
        losses = dict(zip(names, error.measured.losses.tolist(), strict=True))
        return StepRecord(losses, None, [], [], error.norm, skipped=True)


def _say_skipped(setup: Setup, run: RunFolder, progress: RunState, console: Console) -> None:
    allowed = setup.plan.training.max_skipped_steps
    line = (
        f"step {progress.step}: a loss or gradient is not finite; left out,"
        f" {progress.skipped} of {allowed} allowed"
    )
    warn(run, console, line)


def _halves_are_due(setup: Setup, step: int) -> bool:
    every = setup.plan.training.halves_every
    return every is not None and step % every == 0 and not setup.learner.jacobian.is_empty


def _halves_record(setup: Setup, step: int) -> dict[str, Any]:
    """Measure, by the examples of the step after this one, and return the line of it."""
    cosines = half_cosines(
        setup.learner, setup.sampler.draw(step), setup.sources, setup.data.assembler, step,
        setup.pass_tokens,
    )  # fmt: skip
    return {"kind": "halves", "step": step, "cosines": cosines}
