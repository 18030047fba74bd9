"""Runs in stages: one folder, one resume; each stage a run of its own from the one before's model.

A run whose config has no stages is passed on to `accord.training.run` as it is.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accord.config.file import check_methods, dump_config, stage_configs
from accord.config.sections import Config
from accord.config.stages import dropped_note, stage_label, stage_name
from accord.config.unused import unused_options
from accord.durable import link, reach, replace_folder, sweep, write_whole
from accord.errors import AccordError, Pruned, RunFolderError, Stopped
from accord.runs.estimate import Estimate
from accord.runs.folder import STATUS, RunFolder
from accord.runs.progress import Console
from accord.runs.signals import StopSignals
from accord.training.resuming import (
    change_error,
    changes,
    config_again,
    encoder_contents,
    record_forced,
    source_table,
    versions,
)
from accord.training.run import Run, Watch, in_one_line, resume_run, start_run, warn
from accord.training.setup import prepare
from accord.training.stage_results import whole_results

FOLDER = "stages"

Table = dict[str, Any]


@dataclass(frozen=True)
class Stage:
    """One stage of a run.

    Attributes:
        label: as messages name it.
        name: as the config does.
        place: which one of how many, as progress says it.
        folder: of its run.
        given: its config, with the encoder that the whole run begins with.
        trained: names of the tasks that it trains.
        before: the model folder that the stage before leaves; None for the first.
    """

    label: str
    name: str
    place: str
    folder: Path
    given: Config
    trained: tuple[str, ...]
    before: Path | None

    @property
    def config(self) -> Config:
        """The config of its run."""
        if self.before is None:
            return self.given
        update = {"path": str(self.before.absolute()), "revision": None}
        encoder = self.given.encoder.model_copy(update=update)
        return self.given.model_copy(update={"encoder": encoder})


@dataclass(frozen=True)
class Plan:
    """What is known of a stage before it begins.

    Attributes:
        estimate: of its time and memory.
        tasks: those with labels, resolved, as JSON.
        data: what tells its data from other data.
        encoder: likewise the encoder that the whole run begins with.
        max_length: tokens a sequence may have.
    """

    estimate: Estimate
    tasks: list[Table]
    data: dict[str, str]
    encoder: dict[str, str]
    max_length: int

    @property
    def contents(self) -> Table:
        """What tells its data and encoder from others."""
        return {"data": self.data, "encoder": self.encoder}

    @property
    def shown(self) -> Table:
        """What `resolved.json` holds of the last stage."""
        return {"tasks": self.tasks, "max_length": self.max_length}


def start(
    config: Config,
    out: Path,
    *,
    source: str | None = None,
    quiet: bool = False,
    watch: Watch | None = None,
) -> Run:
    """Train from the beginning: all stages, if there are any; else as `training.start_run`.

    Args:
        config: of the run.
        out: the run's folder; must not hold anything yet.
        source: the config file's text, kept as given.
        quiet: no progress on stderr.
        watch: may give the run up between two epochs of its last stage.

    Raises:
        AccordError: as `training.start_run`, naming the stage; all stages' data are read before the
            first begins.
    """
    if not config.stages:
        return start_run(config, out, source=source, quiet=quiet, watch=watch)
    RunFolder.check_free(out)
    check_methods(config)
    stages, console = _stages(config, out), Console(quiet)
    console.say(f"reading the data of all {len(stages)} stages")
    plans = [_plan(stage) for stage in stages]
    console.say(f"expected for all {len(stages)} stages: {_total(plans)}")
    run = RunFolder.create(out)
    with in_one_line(out), run.hold():
        RunFolder.check_not_begun(out)
        if source is not None:
            write_whole(out / "config.toml", source)
        found = [plan.contents for plan in plans]
        run.write_json("resolved.json", _resolved(run, config, found, plans[-1].shown))
        for note in filter(None, (unused_options(config), dropped_note(config))):
            warn(run, console, note)
        return _train(run, stages, quiet=quiet, watch=watch)


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
        Console(quiet).say(f"{folder}: this run is done; nothing to resume")
        return Run(folder, run.read_json("results.json"))
    with in_one_line(folder), run.hold():
        begun = run.read_json("resolved.json")
        config, found = config_again(run, begun, force)
        stages = _stages(config, folder)
        # A stage that has begun checks itself; where anything goes, what it is now is recorded.
        plans = [_plan(stage) if _is_ahead(stage, begun=force) else None for stage in stages]
        found += list(dict.fromkeys(_changes_ahead(run, begun, plans)))
        if found and not force:
            raise change_error(run, found)
        if found:
            after = _resolved_again(run, config, begun, plans)
            record_forced(run, Console(quiet), begun, after, found)
        return _train(run, stages, quiet=quiet, watch=watch, force=force)


def expected_seconds(config: Config) -> float:
    """Estimate a run's time, all stages together."""
    if not config.stages:
        return prepare(config).estimate().seconds
    return _total([_plan(stage) for stage in _stages(config, Path())]).seconds


def _is_staged(run: RunFolder) -> bool:
    return (run.path / "resolved.json").is_file() and bool(run.config().stages)


def _stages(config: Config, out: Path) -> list[Stage]:
    """Return a run's stages; each but the first has the model of the one before as its encoder."""
    stages: list[Stage] = []
    for index, own in enumerate(stage_configs(config)):
        given, name = config.stages[index], stage_name(config.stages, index)
        stages.append(Stage(
            label=stage_label(config.stages, index),
            name=name,
            place=f"stage {index + 1}/{len(config.stages)}" + (f" {name}" if given.name else ""),
            folder=out / FOLDER / (f"{index + 1}-{name}" if given.name else name),
            given=own,
            trained=tuple(given.tasks),
            before=stages[-1].folder / "model" if stages else None,
        ))  # fmt: skip
    return stages


def _plan(stage: Stage) -> Plan:
    """Read a stage's data, and check all that can be checked before its encoder is trained."""
    with _naming(stage):
        setup = prepare(stage.given, planned=stage.before is not None)
    encoder = encoder_contents(setup)
    if stage.before is not None:
        encoder.pop("heads", None)
    return Plan(
        estimate=setup.estimate(),
        tasks=[task.to_json() for task in setup.learner.model.labelled],
        data=setup.data.contents(),
        encoder=encoder,
        max_length=setup.data.assembler.max_length,
    )


def _total(plans: Sequence[Plan]) -> Estimate:
    return Estimate(
        seconds=sum(plan.estimate.seconds for plan in plans),
        memory_bytes=max(plan.estimate.memory_bytes for plan in plans),
    )


def _resolved(
    run: RunFolder, config: Config, stages: Sequence[Table], last: Mapping[str, Any]
) -> Table:
    """Return what `resolved.json` holds: what it holds of any run, and of each stage.

    Args:
        run: its folder.
        config: of the whole run.
        stages: `Plan.contents` of each.
        last: `Plan.shown` of the last one.
    """
    data: dict[str, str] = {}
    for own in reversed(stages):  # a task counts as it is when it is trained first
        data |= own["data"]
    table = config.model_dump(mode="json")
    content = json.dumps([table, stages], sort_keys=True)
    return {
        "config": table,
        **last,
        "data": data,
        "encoder": stages[0]["encoder"],
        "stages": stages,
        "fingerprint": hashlib.sha256(content.encode()).hexdigest(),
        "config_toml": source_table(run),
        "versions": versions(),
    }


def _resolved_again(
    run: RunFolder, config: Config, begun: Table, plans: Sequence[Plan | None]
) -> Table:
    """Return what `resolved.json` holds of a run that goes on though something changed.

    Args:
        run: its folder.
        config: as it is now.
        begun: what `resolved.json` held.
        plans: of the stages; None of those that are done, which stay as they were.
    """
    stages = [
        _begun_stage(run, begun, index) if plan is None else plan.contents
        for index, plan in enumerate(plans)
    ]
    last = plans[-1]
    before = {key: begun.get(key) for key in ("tasks", "max_length")}
    return _resolved(run, config, stages, before if last is None else last.shown)


def _is_ahead(stage: Stage, *, begun: bool) -> bool:
    """Whether a stage is yet to be run; with `begun` also one that is only begun."""
    if not (stage.folder / STATUS).exists():
        return True
    return begun and RunFolder.open(stage.folder).state() != "done"


def _changes_ahead(run: RunFolder, begun: Table, plans: Sequence[Plan | None]) -> Iterator[str]:
    """Yield what changed since of what stages need, those that are planned."""
    for index, plan in enumerate(plans):
        if plan is not None:
            own = {"versions": begun.get("versions", {}), **_begun_stage(run, begun, index)}
            yield from changes(own, plan.data, plan.encoder)


def _begun_stage(run: RunFolder, begun: Table, index: int) -> Table:
    """Return what `resolved.json` holds of a stage."""
    try:
        own = begun["stages"][index]
        return {"data": dict(own["data"]), "encoder": dict(own["encoder"])}
    except (KeyError, IndexError, TypeError, ValueError):
        file = run.path / "resolved.json"
        raise RunFolderError(f"{file}: what it holds of stages can't be read") from None


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
                run.set_status("running", stage=stage.place)
                _say(run, console, f"{stage.place}: {', '.join(stage.trained)}")
                last = stage is stages[-1]
                found.append(
                    _run_stage(run, stage, quiet=quiet, watch=watch if last else None, force=force)
                )
            results = whole_results(
                [stage.name for stage in stages], [stage.trained for stage in stages], found
            )
            _publish(run, stages[-1].folder)
            run.write_json("results.json", results)
        _say(run, console, f"done: all {len(stages)} stages; model in {run.model}")
        run.set_status("done", stage=stages[-1].place)
    except BaseException as error:
        with contextlib.suppress(OSError):  # a full disk has no room for this either
            _record_failure(run, error)
        raise
    return Run(run.path, results)


def _run_stage(
    run: RunFolder, stage: Stage, *, quiet: bool, watch: Watch | None, force: bool
) -> Table:
    """Run a stage, go on with it, or find it done; return its results."""
    # Every key, set or not: what a config is read back from has them all.
    source = dump_config(Config.model_validate(stage.config.model_dump()))
    with _naming(stage, run):
        if not (stage.folder / STATUS).exists():
            return start_run(
                stage.config, stage.folder, source=source, quiet=quiet, watch=watch,
                stage=stage.place,
            ).results  # fmt: skip
        own = RunFolder.open(stage.folder)
        if own.state() == "done":
            return own.read_json("results.json")
        # The run folder or its data may have moved: paths in a run's own config.toml are followed.
        write_whole(stage.folder / "config.toml", source)
        return resume_run(
            stage.folder, force=force, quiet=quiet, watch=watch, stage=stage.place
        ).results


@contextlib.contextmanager
def _naming(stage: Stage, run: RunFolder | None = None) -> Iterator[None]:
    """Let errors name the stage, and the whole run as what can be resumed."""
    try:
        yield
    except AccordError as error:
        text = str(error)
        if run is not None:
            text = text.replace(f"resume {stage.folder}", f"resume {run.path}")
        error.args = (f"{stage.label}: {text}",)
        raise


def _publish(run: RunFolder, folder: Path) -> None:
    """Let a stage's model, predictions and records be the run's own; files are linked."""

    def fill(aside: Path) -> None:
        for file in sorted((folder / "model").iterdir()):
            link(file, aside / file.name)

    replace_folder(run.model, fill)
    files = [(file, run.predictions / file.name)
             for file in sorted((folder / "predictions").glob("*.csv"))]  # fmt: skip
    records = [(folder / name, run.path / name) for name in ("metrics.jsonl", "environment.json")]
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
