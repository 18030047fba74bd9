"""Runs in stages: one folder, one resume; each stage a run of its own from the one before's model.

A run whose config has no stages is passed on to `accord.training.run` as it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accord.data.warnings import refuse_all
from accord.durable import link, reach, replace_folder, sweep, write_atomic
from accord.evaluation.scores import SCORES
from accord.plan.recorded import recorded_plan
from accord.plan.run import RunPlan
from accord.runs.folder import STATUS, RunFolder
from accord.runs.progress import Console
from accord.runs.results import read_results
from accord.runs.signals import StopSignals, save_requests_ignored
from accord.training.edits import plan_again
from accord.training.failing import in_one_line, record_failure
from accord.training.lines import say
from accord.training.loop import Watch
from accord.training.resuming import change_error, check_comparable, record_forced
from accord.training.run import Run, finished, new_run, record, resume_run, start_run
from accord.training.setup import prepare
from accord.training.stages.preflight import preflight, total
from accord.training.stages.record import (
    changes_ahead,
    check_edits,
    is_ahead,
    resolved,
    resolved_again,
)
from accord.training.stages.results import combined_results
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
        strict: treat warnings as errors.

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
    warnings = list(
        dict.fromkeys((*plan.notes, *(line for stage in ahead for line in stage.warnings)))
    )
    if strict:
        refuse_all(warnings, console.say)
    console.say(f"expected for all {len(stages)} stages: {total(ahead)}")
    with new_run(out, source) as run:
        contents = [stage.contents for stage in ahead]
        record(run, resolved(run, plan, contents, ahead[-1].shown), warnings, console)
        return _train(run, stages, quiet=quiet, watch=watch)


@save_requests_ignored()
def resume(
    folder: Path, *, force: bool = False, quiet: bool = False, watch: Watch | None = None
) -> Run:
    """Resume a run, in the stage that it was stopped in; arguments and errors as `start`.

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
        plan, changes = plan_again(run, begun, force)
        stages = stages_of(plan, folder)
        for label in check_edits(stages_of(recorded_plan(run), folder), stages):
            Console(quiet).say(f"warning: {label} is done and stays as it was")
        # A stage that has begun checks itself; where anything goes, what it is now is recorded.
        ahead = [preflight(stage) if is_ahead(stage, begun=force) else None for stage in stages]
        changes += list(dict.fromkeys(changes_ahead(run, begun, ahead)))
        if changes and not force:
            raise change_error(run, changes)
        if changes:
            for stage, known in zip(stages, ahead, strict=True):
                if known is not None and (stage.folder / STATUS).exists():
                    with naming(stage):
                        after = {**known.contents, **known.shown}
                        check_comparable(RunFolder.open(stage.folder), after)
            after = resolved_again(run, plan, begun, ahead)
            record_forced(run, Console(quiet), begun, after, changes)
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
    console, done = Console(quiet), []
    try:
        for folder in (run.path, run.predictions):
            sweep(folder)
        with StopSignals(at_once=True):
            for stage in stages:
                run.set_status("running", stage=stage.plan.place)
                say(run, console, f"{stage.plan.place}: {', '.join(stage.plan.trained)}")
                last = stage is stages[-1]
                done.append(
                    _run_stage(run, stage, quiet=quiet, watch=watch if last else None, force=force)
                )
            plans = [stage.planned for stage in stages]
            results = combined_results(
                [plan.name for plan in plans], [plan.trained for plan in plans], done
            )
            _publish(run, stages[-1].folder)
            run.write_json("results.json", results)
        say(run, console, f"done: all {len(stages)} stages; model in {run.model}")
        run.set_status("done", stage=stages[-1].plan.place)
    except BaseException as error:
        with contextlib.suppress(OSError):  # a full disk has no room for this either
            record_failure(run, error, error)
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
        begun = RunFolder.open(stage.folder)
        if begun.state() == "done":
            tidy_up(begun)
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
