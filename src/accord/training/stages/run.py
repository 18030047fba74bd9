"""Runs in stages: one folder, one resume; each stage a run of its own from the one before's model.

A run whose config has no stages is passed on to `accord.training.run` as it is.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accord.data.warnings import refuse_all
from accord.durable import link, reach, replace_folder, sweep, write_atomic
from accord.errors import AccordError, Pruned, Stopped
from accord.evaluation.scores import SCORES
from accord.plan.recorded import recorded_plan
from accord.plan.run import RunPlan
from accord.runs.folder import STATUS, RunFolder
from accord.runs.progress import Console
from accord.runs.results import read_results
from accord.runs.signals import StopSignals, save_requests_ignored
from accord.training.resuming import (
    change_error,
    check_comparable,
    plan_again,
    record_forced,
)
from accord.training.run import Run, Watch, finished, in_one_line, resume_run, start_run, warn
from accord.training.setup import prepare
from accord.training.stages.preflight import preflight, total
from accord.training.stages.record import (
    changes_ahead,
    check_edits,
    is_ahead,
    resolved,
    resolved_again,
)
from accord.training.stages.results import whole_results
from accord.training.stages.stage import FOLDER, Stage, naming, stages_of
from accord.training.tidying import tidy_up

Table = dict[str, Any]


@save_requests_ignored()
def start(
    plan: RunPlan,
    out: Path,
    *,
    source: str | None = None,
    quiet: bool = False,
    watch: Watch | None = None,
    strict: bool = False,
) -> Run:
    """Train from the beginning: all stages, if there are any; else as `training.start_run`.

    Args:
        plan: of the run.
        out: the run's folder; must not hold anything yet.
        source: the config file's text, kept as given.
        quiet: no progress on stderr.
        watch: may give the run up between two epochs of its last stage.
        strict: take warnings for errors.

    Raises:
        AccordError: as `training.start_run`, naming the stage; all stages' data are read before the
            first begins.
    """
    if not plan.staged:
        return start_run(
            plan.only, out, source=source, quiet=quiet, watch=watch, notes=plan.notes,
            strict=strict,
        )  # fmt: skip
    RunFolder.check_free(out)
    stages, console = stages_of(plan, out), Console(quiet)
    console.say(f"reading the data of all {len(stages)} stages")
    ahead = [preflight(stage) for stage in stages]
    warnings = list(dict.fromkeys((*plan.notes, *(line for own in ahead for line in own.warnings))))
    if strict:
        refuse_all(warnings, console.say)
    console.say(f"expected for all {len(stages)} stages: {total(ahead)}")
    run = RunFolder.create(out)
    with in_one_line(out), run.hold():
        RunFolder.check_not_begun(out)
        if source is not None:
            write_atomic(out / "config.toml", source)
        found = [own.contents for own in ahead]
        begun = resolved(run, plan, found, ahead[-1].shown)
        run.write_json("resolved.json", {**begun, "warnings": warnings})
        for line in warnings:
            warn(run, console, line)
        return _train(run, stages, quiet=quiet, watch=watch)


@save_requests_ignored()
def resume(
    folder: Path, *, force: bool = False, quiet: bool = False, watch: Watch | None = None
) -> Run:
    """Go on with a run, in the stage that it was stopped in; arguments and errors as `start`.

    Args:
        folder: of the run.
        force: go on though data, config or versions changed; it is recorded.
        quiet: no progress on stderr.
        watch: may give the run up between two epochs of its last stage.
    """
    run = RunFolder.open(folder)
    if not (folder / FOLDER).exists() and not _is_staged(run):
        return resume_run(folder, force=force, quiet=quiet, watch=watch)
    if run.state() == "done":
        return finished(run, Console(quiet))
    with in_one_line(folder), run.hold():
        begun = run.read_json("resolved.json")
        plan, found = plan_again(run, begun, force)
        stages = stages_of(plan, folder)
        for label in check_edits(stages_of(recorded_plan(run), folder), stages):
            Console(quiet).say(f"warning: {label} is done and stays as it was")
        # A stage that has begun checks itself; where anything goes, what it is now is recorded.
        ahead = [preflight(stage) if is_ahead(stage, begun=force) else None for stage in stages]
        found += list(dict.fromkeys(changes_ahead(run, begun, ahead)))
        if found and not force:
            raise change_error(run, found)
        if found:
            for stage, own in zip(stages, ahead, strict=True):
                if own is not None and (stage.folder / STATUS).exists():
                    with naming(stage):
                        after = {"data": own.data, "tasks": own.tasks}
                        check_comparable(RunFolder.open(stage.folder), after)
            after = resolved_again(run, plan, begun, ahead)
            record_forced(run, Console(quiet), begun, after, found)
        return _train(run, stages, quiet=quiet, watch=watch, force=force)


def expected_seconds(plan: RunPlan) -> float:
    """Estimate a run's time, all stages together."""
    if not plan.staged:
        return prepare(plan.only).estimate().seconds
    return total([preflight(stage) for stage in stages_of(plan, Path())]).seconds


def _is_staged(run: RunFolder) -> bool:
    return (run.path / "resolved.json").is_file() and recorded_plan(run).staged


def _train(
    run: RunFolder,
    stages: Sequence[Stage],
    *,
    quiet: bool,
    watch: Watch | None,
    force: bool = False,
) -> Run:
    """Run what is left of the stages, and show the last one's model as the run's own."""
    console, found = Console(quiet), []
    try:
        for folder in (run.path, run.predictions):
            sweep(folder)
        with StopSignals(at_once=True):
            for stage in stages:
                run.set_status("running", stage=stage.plan.place)
                _say(run, console, f"{stage.plan.place}: {', '.join(stage.plan.trained)}")
                last = stage is stages[-1]
                found.append(
                    _run_stage(run, stage, quiet=quiet, watch=watch if last else None, force=force)
                )
            plans = [stage.planned for stage in stages]
            results = whole_results(
                [own.name for own in plans], [own.trained for own in plans], found
            )
            _publish(run, stages[-1].folder)
            run.write_json("results.json", results)
        _say(run, console, f"done: all {len(stages)} stages; model in {run.model}")
        run.set_status("done", stage=stages[-1].plan.place)
    except BaseException as error:
        with contextlib.suppress(OSError):  # a full disk has no room for this either
            _record_failure(run, error)
        raise
    return Run(run.path, results)


def _run_stage(
    run: RunFolder, stage: Stage, *, quiet: bool, watch: Watch | None, force: bool
) -> Table:
    """Run a stage, go on with it, or find it done; return its results."""
    source = stage.plan.toml  # every key, set or not: what a config is read back from has them all
    with naming(stage, run):
        if not (stage.folder / STATUS).exists():
            return start_run(
                stage.plan, stage.folder, source=source, quiet=quiet, watch=watch
            ).results
        own = RunFolder.open(stage.folder)
        if own.state() == "done":
            tidy_up(own)
            return read_results(stage.folder)
        # The run folder or its data may have moved: paths in a run's own config.toml are followed.
        write_atomic(stage.folder / "config.toml", source)
        return resume_run(
            stage.folder, force=force, quiet=quiet, watch=watch, stage=stage.plan.place
        ).results


def _publish(run: RunFolder, folder: Path) -> None:
    """Let a stage's model, predictions and records be the run's own; files are linked."""

    def fill(aside: Path) -> None:
        for file in sorted((folder / "model").iterdir()):
            link(file, aside / file.name)

    replace_folder(run.model, fill)
    files = [(file, run.predictions / file.name)
             for file in sorted((folder / "predictions").glob("*.csv"))]  # fmt: skip
    names = ("metrics.jsonl", "environment.json", SCORES)
    records = [(folder / name, run.path / name) for name in names]
    for file, target in (*files, *records):
        aside = target.with_name(f".{target.name}.aside")
        aside.unlink(missing_ok=True)
        link(file, aside)
        reach("rename", target)
        aside.replace(target)


def _say(run: RunFolder, console: Console, line: str) -> None:
    console.say(line)
    run.log(line)


def _record_failure(run: RunFolder, error: BaseException) -> None:
    """Leave the reason in the folder, and where in the code it came up."""
    if isinstance(error, Stopped | Pruned | KeyboardInterrupt):
        run.set_status("pruned" if isinstance(error, Pruned) else "stopped", resumable=True)
        run.log(f"{type(error).__name__}: {error}")
        return
    reason = str(error) if isinstance(error, AccordError) else repr(error)
    run.set_status("failed", reason=reason)
    run.log("".join(traceback.format_exception(error)), "DEBUG")
    run.log(f"{type(error).__name__}: {error}", "ERROR")
