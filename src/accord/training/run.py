"""A run: steps, an evaluation each epoch, checkpoints, the best model kept."""

from __future__ import annotations

import contextlib
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from accord.data.loader import StepBatch
from accord.data.warnings import refuse_all
from accord.durable import sweep, write_atomic
from accord.errors import (
    AccordError,
    NonFiniteError,
    Pruned,
    RunFolderError,
    Stopped,
    TrainingError,
)
from accord.optim.schedules import lr_factor
from accord.plan.run import CheckpointPlan, StagePlan
from accord.plural import count
from accord.runs.folder import RunFolder, environment
from accord.runs.memory import keep_freed_memory, release_freed_memory, restart_peak
from accord.runs.progress import Bar, Console
from accord.runs.results import read_results
from accord.runs.signals import StopSignals
from accord.training.best import best_fault, publish_best
from accord.training.checkpoint import (
    Progress,
    checkpoints,
    drop_old,
    load_checkpoint,
    newest_sound,
    read_progress,
    save_checkpoint,
)
from accord.training.epoch import evaluate_epoch
from accord.training.halves import half_cosines
from accord.training.kept_epochs import check_weights, kept_fault
from accord.training.lines import headline, step_line
from accord.training.nonfinite import blame
from accord.training.outcome import finish
from accord.training.resuming import (
    check_unedited,
    how_to_train_on,
    known_fingerprints,
    prepare_again,
    resolved,
    versions,
)
from accord.training.setup import Setup, prepare
from accord.training.step import NotFinite, StepRecord
from accord.training.tidying import tidy, tidy_up

Watch = Callable[[Sequence[dict[str, Any]]], None]
"""Is shown the evaluations of all epochs so far before another one begins; may raise `Pruned`."""

_TIDY_STEPS = 50
_NAMED = 8  # examples that a message names


@dataclass(frozen=True)
class Run:
    """A finished run: its folder and what `results.json` holds."""

    folder: Path
    results: dict[str, Any]


def start_run(
    plan: StagePlan,
    out: Path,
    *,
    source: str | None = None,
    quiet: bool = False,
    watch: Watch | None = None,
    notes: Sequence[str] = (),
    strict: bool = False,
) -> Run:
    """Train from the beginning.

    Args:
        plan: of the run.
        out: the run's folder; must not hold anything yet.
        source: the config file's text, kept as given.
        quiet: no progress on stderr.
        watch: may give the run up between two epochs.
        notes: what of its config makes no difference, a line each.
        strict: take warnings for errors.

    Raises:
        UsageError: something is wrong with plan, data, encoder or `out`; nothing was written.
        BusyError: another process is writing to `out`.
        TrainingError: a loss or gradient was not finite.
        Stopped: a signal came; `resume_run` goes on.
        Pruned: `watch` gave the run up; `resume_run` can go on all the same.
    """
    console = Console(quiet, plan.place)
    RunFolder.check_free(out)
    setup = prepare(plan, console.say)
    # A stage's are said of the whole run: another may use what this one doesn't.
    warnings = [] if plan.label else [*notes, *setup.warnings()]
    if strict:
        refuse_all(warnings, console.say)
    expected = setup.estimate()
    run = RunFolder.create(out)
    with in_one_line(out), run.hold():
        RunFolder.check_not_begun(out)
        if source is not None:
            write_atomic(out / "config.toml", source)
        run.write_json("resolved.json", {**resolved(setup, run), "warnings": warnings})
        for line in warnings:
            warn(run, console, line)
        return _train(setup, run, Progress(), console, f"expected: {expected}", watch)


def resume_run(
    folder: Path,
    *,
    force: bool = False,
    quiet: bool = False,
    watch: Watch | None = None,
    stage: str = "",
) -> Run:
    """Go on with a run from its newest sound checkpoint, or from the start if there is none.

    Args:
        folder: of the run.
        force: go on though data, config or versions changed; `resolved.json` records it.
        quiet: no progress on stderr.
        watch: may give the run up between two epochs.
        stage: which one this is of a run of several, said with its progress.

    Raises:
        RunFolderError: if there is no run, or it is no longer what it was; of a run that is done,
            if its config.toml was edited, whatever `force` is.
        BusyError: if a process is still at it.
    """
    console = Console(quiet, stage)
    run = RunFolder.open(folder)
    if run.state() == "done":
        return finished(run, console)
    with in_one_line(folder), run.hold():
        if not force:
            run.check_no_other_host()
        setup = prepare_again(run, console, force)
        found = checkpoints(run.checkpoints)
        checkpoint = newest_sound(
            run.checkpoints, console.say, lambda path: _kept_fault(run, read_progress(path))
        )
        if checkpoint is None:
            kind = "sound checkpoint" if found else "checkpoint yet"
            return _train(setup, run, Progress(), console, f"no {kind}: starting over", watch)
        progress = read_progress(checkpoint)
        if progress.fingerprint not in known_fingerprints(run):
            raise RunFolderError(f"{checkpoint}: is of another run")
        if progress.step > setup.total_steps:
            raise RunFolderError(
                f"{checkpoint}: is after step {progress.step}, but the run has"
                f" {setup.total_steps} steps now"
            )
        if setup.plan.averaging.method == "soup":
            check_weights(run, progress, checkpoint)
        load_checkpoint(checkpoint, setup.learner)
        publish_best(run, progress)
        note = f"resuming after step {progress.step} of {setup.total_steps}"
        if progress.threads != torch.get_num_threads():
            threads = count(torch.get_num_threads(), "thread")
            note += f"; with {threads}, not {progress.threads}: sums may differ"
        return _train(setup, run, progress, console, note, watch)


def finished(run: RunFolder, console: Console) -> Run:
    """Return a run that is done, after what a kill may have left to tidy up.

    Raises:
        RunFolderError: if its config.toml was edited since: nothing would come of that.
        BusyError: if a process is still tidying.
    """
    check_unedited(run)
    with in_one_line(run.path):
        tidy_up(run)
    console.say(f"{run.path}: this run is done; nothing to resume; {how_to_train_on(run)}")
    return Run(run.path, read_results(run.path))


@contextlib.contextmanager
def in_one_line(folder: Path) -> Iterator[None]:
    """Say an error of the file system's as one of the run folder's."""
    try:
        yield
    except OSError as error:
        place = error.filename or folder
        raise RunFolderError(f"{place}: can't be used: {error.strerror}") from None


def _train(
    setup: Setup,
    run: RunFolder,
    progress: Progress,
    console: Console,
    note: str,
    watch: Watch | None,
) -> Run:
    keep_freed_memory()
    restart_peak()  # of another run before, in this process
    progress.fingerprint, progress.threads = setup.fingerprint, torch.get_num_threads()
    progress.versions = versions()
    try:
        run.write_json("environment.json", environment(progress.threads, str(setup.device)))
        for folder in (run.path, run.predictions, run.checkpoints):
            sweep(folder)
        drop_old(run.checkpoints, setup.plan.checkpoint.keep)
        if (lost := run.truncate_metrics(progress.step)) is not None:
            warn(run, console, f"{lost}; the run itself goes on as it was")
        run.set_status("running", step=progress.step, steps=setup.total_steps)
        for line in (*headline(setup), note):
            console.say(line)
            run.log(line)
        with StopSignals(at_once=True):
            if setup.plan.encoder.frozen:
                console.say("encoding the training and dev data once")
                setup.encode_data()
            _loop(setup, run, progress, console, watch)
            results = finish(setup, run, progress, console)
        run.set_status("done", step=progress.step, steps=setup.total_steps)
    except BaseException as error:
        known = _in_words(setup, run, error)
        with contextlib.suppress(OSError):  # a full disk has no room for this either
            _record_failure(run, progress, known, error)
        if known is error:
            raise
        raise known from error
    tidy(run)
    return Run(run.path, results)


def _kept_fault(run: RunFolder, progress: Progress) -> str | None:
    """Return what is wrong with what a checkpoint names beside its own files, or None."""
    return best_fault(run, progress) or kept_fault(run, progress)


def _loop(
    setup: Setup, run: RunFolder, progress: Progress, console: Console, watch: Watch | None
) -> None:
    """Take the steps that are left."""
    settings, steps = setup.plan.training, setup.sampler.steps
    warmup = round(settings.warmup * setup.total_steps)
    cadence = Cadence(setup.plan.checkpoint)
    bar = Bar(console, "step", setup.total_steps, progress.step)
    with StopSignals() as signals, bar:
        for step in range(progress.step, setup.total_steps):
            if watch is not None and step % steps == 0 and progress.evaluations:
                watch(progress.evaluations)
            started = time.perf_counter()
            setup.learner.model.train()
            batch = setup.batch(step)
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


def _take(
    setup: Setup, progress: Progress, step: int, batch: StepBatch, lr_factor: float
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


class Cadence:
    """When a checkpoint is due, beside each epoch's end.

    Args:
        plan: says after how many steps or minutes.
    """

    def __init__(self, plan: CheckpointPlan) -> None:
        self.steps, self.minutes = plan.every_steps, plan.every_minutes
        self.saved()

    def saved(self) -> None:
        """Count the minutes anew."""
        self._since = time.monotonic()  # no clock that is set back holds a checkpoint off

    def is_due(self, step: int) -> bool:
        """Whether one is due after so many steps of the run."""
        minutes = (time.monotonic() - self._since) / 60
        by_steps = self.steps is not None and step % self.steps == 0
        return by_steps or (self.minutes is not None and minutes >= self.minutes)


def _say_skipped(setup: Setup, run: RunFolder, progress: Progress, console: Console) -> None:
    allowed = setup.plan.training.max_skipped_steps
    line = (
        f"step {progress.step}: a loss or gradient is not finite; left out,"
        f" {progress.skipped} of {allowed} allowed"
    )
    warn(run, console, line)


def warn(run: RunFolder, console: Console, text: str) -> None:
    """Say a warning, and keep it in the log."""
    console.say(f"warning: {text}")
    run.log(text, "WARNING")


def _in_words(setup: Setup, run: RunFolder, error: BaseException) -> BaseException:
    """Say what a full memory or disk, or a value that is not finite, means for the run."""
    if isinstance(error, torch.OutOfMemoryError):
        return TrainingError(
            "out of memory: set training.micro_batch_tokens or encoder.gradient_checkpointing;"
            f" '{str(error).splitlines()[0]}'"
        )
    if isinstance(error, OSError):
        return TrainingError(f"{run.path}: {error}; 'accord resume {run.path}' goes on")
    if isinstance(error, NonFiniteError):
        found = "; ".join(_example_ids(setup, name, rows) for name, rows in error.rows.items())
        return TrainingError(f"{error}; {found}")
    return error


def _example_ids(setup: Setup, name: str, rows: list[int]) -> str:
    own = next(own for own in setup.data.train if own.task.name == name)
    ids = [own.store.row_name(int(own.rows[row])) for row in rows]
    more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
    return f"{name}: examples {', '.join(ids[:_NAMED])}{more}"


def _record_failure(
    run: RunFolder, progress: Progress, known: BaseException, error: BaseException
) -> None:
    """Leave the reason in the folder, and where in the code it came up."""
    if isinstance(known, Stopped | Pruned | KeyboardInterrupt):
        state = "pruned" if isinstance(known, Pruned) else "stopped"
        run.set_status(state, step=progress.step, resumable=True)
        run.log(f"{type(known).__name__}: {known}")
        return
    reason = str(known) if isinstance(known, AccordError) else repr(known)
    run.set_status("failed", step=progress.step, reason=reason)
    run.log("".join(traceback.format_exception(error)), "DEBUG")
    run.log(f"{type(known).__name__}: {known}", "ERROR")


def _halves_are_due(setup: Setup, step: int) -> bool:
    every = setup.plan.training.halves_every
    return every is not None and step % every == 0 and not setup.learner.jacobian.is_empty


def _halves_record(setup: Setup, step: int) -> dict[str, Any]:
    """Measure, by the examples of the step after this one, and return the line of it."""
    cosines = half_cosines(
        setup.learner, setup.sampler.draw(step), setup.data.train, setup.data.assembler, step,
        setup.plan.training.micro_batch_tokens,
    )  # fmt: skip
    return {"kind": "halves", "step": step, "cosines": cosines}
