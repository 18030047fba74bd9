"""A run: steps, an evaluation each epoch, checkpoints, the best model kept."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from accord.data.warnings import refuse_all
from accord.durable import sweep, write_atomic
from accord.errors import RunFolderError
from accord.plan.run import StagePlan
from accord.runs.devices import card_of
from accord.runs.folder import STATUS, RunFolder, environment
from accord.runs.memory import keep_freed_memory, restart_peak
from accord.runs.progress import Console
from accord.runs.repeatable import in_one_order
from accord.runs.result_parts import result_parts
from accord.runs.results import read_results
from accord.runs.signals import StopSignals
from accord.showing import Part, Shown
from accord.training.best import best_fault, publish_best
from accord.training.checkpoint import (
    RunState,
    checkpoints,
    drop_old,
    load_checkpoint,
    newest_sound,
    read_run_state,
)
from accord.training.failing import in_one_line, in_words, record_failure
from accord.training.kept_epochs import check_weights, kept_fault
from accord.training.lines import headline, say, warn
from accord.training.loop import Watch, take_steps
from accord.training.outcome import finish
from accord.training.resuming import (
    begin_sitting,
    check_unedited,
    how_to_train_on,
    known_fingerprints,
    prepare_again,
    resolved,
    settle_passes,
)
from accord.training.setup import Setup, prepare
from accord.training.tidying import tidy, tidy_up
from accord.training.tracked import tracked


@dataclass(frozen=True, repr=False)
class Run(Shown):
    """A finished run: its folder and what `results.json` holds."""

    folder: Path
    results: dict[str, Any]

    def shown(self) -> Iterator[Part]:
        """Yield what `accord train` prints at its end, and where the run is."""
        yield from result_parts(self.results)
        yield f"run: {self.folder}"


def start_run(
    plan: StagePlan,
    out: Path,
    *,
    source: str | None = None,
    quiet: bool = False,
    watch: Watch | None = None,
    notes: Sequence[str] = (),
    strict: bool = False,
    kept: bool = True,
) -> Run:
    """Train from the beginning.

    Args:
        plan: of the run.
        out: the run's folder; must not hold anything yet.
        source: the config file's text, kept as given.
        quiet: no progress on stderr.
        watch: may give the run up between two epochs.
        notes: what of its config makes no difference, one line each.
        strict: treat warnings as errors.
        kept: whether the folder is one to look for the model in, as the last line says.

    Raises:
        UsageError: something is wrong with plan, data, encoder or `out`; nothing was written.
        BusyError: another process is writing to `out`.
        TrainingError: a loss or gradient was not finite.
        Stopped: a signal came; `resume_run` goes on.
        Pruned: `watch` gave the run up; `resume_run` can go on anyway.
    """
    console = Console(quiet, plan.place, kept)
    RunFolder.check_free(out)
    setup = prepare(plan, console.say)
    # A stage's are said of the whole run: another may use what this one doesn't.
    warnings = [] if plan.label else [*notes, *setup.warnings()]
    if strict:
        refuse_all(warnings, console.say)
    expected = setup.estimate()
    with new_run(out, source) as run:
        record(run, resolved(setup, run), warnings, console)
        return _train(setup, run, RunState(), console, f"expected: {expected}", watch)


@contextlib.contextmanager
def new_run(out: Path, source: str | None) -> Iterator[RunFolder]:
    """Make the folder of a new run, and be the one process that writes there.

    Args:
        out: the folder.
        source: the config file's text, kept as given.

    Raises:
        RunFolderError: if it holds a run, or can't be written.
        BusyError: another process is writing there.
    """
    run = RunFolder.create(out)
    with in_one_line(out), run.hold():
        if (out / STATUS).exists():  # begun by another process meanwhile
            raise RunFolderError(f"{out}: holds a run already")
        if source is not None:
            write_atomic(out / "config.toml", source)
        yield run


def record(
    run: RunFolder, made_of: dict[str, Any], warnings: Sequence[str], console: Console
) -> None:
    """Write what a new run is made from, and its warnings, which are also printed."""
    run.write_json("resolved.json", {**made_of, "warnings": [*warnings]})
    for line in warnings:
        warn(run, console, line)


def resume_run(
    folder: Path,
    *,
    force: bool = False,
    quiet: bool = False,
    watch: Watch | None = None,
    stage: str = "",
) -> Run:
    """Resume a run from its newest sound checkpoint, or from the start if there is none.

    Args:
        folder: of the run.
        force: go on though data, config or versions changed; `resolved.json` records it.
        quiet: no progress on stderr.
        watch: may give the run up between two epochs.
        stage: which one this is of a run of several, said with its progress.

    Raises:
        RunFolderError: if there is no run, or it is no longer what it was; of a run that is done,
            if its config.toml was edited, whatever `force` is.
        BusyError: if a process is still using it.
    """
    console = Console(quiet, stage)
    run = RunFolder.open(folder)
    if run.state() == "done":
        return finished(run, console)
    with in_one_line(folder), run.hold():
        if not force:
            run.check_no_other_host()
        setup = prepare_again(run, console, force)
        existing = checkpoints(run.checkpoints)
        checkpoint = newest_sound(
            run.checkpoints, console.say, lambda path: _kept_fault(run, read_run_state(path))
        )
        if checkpoint is None:
            kind = "sound checkpoint" if existing else "checkpoint yet"
            return _train(setup, run, RunState(), console, f"no {kind}: starting over", watch)
        progress = read_run_state(checkpoint)
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


def _train(
    setup: Setup,
    run: RunFolder,
    progress: RunState,
    console: Console,
    note: str,
    watch: Watch | None,
) -> Run:
    keep_freed_memory()
    restart_peak()  # of another run before, in this process
    with tracked(setup, run, console, progress.step) as shown:
        try:
            results = _steps(setup, run, progress, console, note, watch)
            run.set_status("done", step=progress.step, steps=progress.step)
        except BaseException as error:
            known = in_words(setup, run, error)
            with contextlib.suppress(OSError):  # a full disk has no room for this either
                record_failure(run, known, error, step=progress.step)
            if known is error:
                raise
            raise known from error
        shown.done = True
    tidy(run)
    return Run(run.path, results)


def _steps(
    setup: Setup, run: RunFolder, progress: RunState, console: Console, note: str,
    watch: Watch | None,
) -> dict[str, Any]:  # fmt: skip
    """Take all steps that are left, and return the results."""
    place = environment(torch.get_num_threads(), str(setup.device))
    run.write_json("environment.json", {**place, "card": card_of(setup.device)})
    for folder in (run.path, run.predictions, run.checkpoints):
        sweep(folder)
    drop_old(run.checkpoints, setup.plan.checkpoint.keep)
    if (lost := run.truncate_metrics(progress.step)) is not None:
        warn(run, console, f"{lost}; the run itself goes on as it was")
    run.set_status("running", step=progress.step, steps=setup.total_steps)
    if setup.unordered:
        warn(run, console, setup.unordered)
    on_gpu = setup.device.type != "cpu"
    with StopSignals(at_once=True), in_one_order(on_gpu and setup.is_repeatable):
        settle_passes(setup, run, console)
        note += begin_sitting(setup, progress)
        say(run, console, *headline(setup), note)
        if setup.plan.encoder.frozen:
            console.say("encoding the training and dev data once")
            setup.encode_data()
        take_steps(setup, run, progress, console, watch)
        return finish(setup, run, progress, console)


def _kept_fault(run: RunFolder, progress: RunState) -> str | None:
    """Return what is wrong with what a checkpoint names beside its own files, or None."""
    return best_fault(run, progress) or kept_fault(run, progress)
