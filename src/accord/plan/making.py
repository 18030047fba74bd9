"""From a config to the plan of its run, or to all that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from accord.config.file import parse_config, stage_configs
from accord.config.sections import Config
from accord.config.stages import stage_label, stage_name
from accord.data.datafiles import find_files
from accord.errors import ConfigError
from accord.plan.faults import faults, unknown_memory
from accord.plan.keys import Keys
from accord.plan.resolving import data_plan, resolve
from accord.plan.run import RunPlan, StagePlan
from accord.plan.stages import chain_faults, dropped_note, list_faults
from accord.plan.unused import unused_line


def plan_run(config: Config, where: str = "config", *, files: bool = True) -> RunPlan:
    """Settle all that a config leaves open except for what its files hold.

    Args:
        config: of a run, with stages or without.
        where: the file's name, in messages.
        files: whether to check that every data file is there.

    Raises:
        ConfigError: one line for each thing that is wrong: what doesn't go together, with which
            stages, and files that aren't there.
    """
    _refuse([*unknown_memory(config), *(list_faults(config) if config.stages else ())], where)
    parts = stage_configs(config, where) or [config]
    resolved = [resolve(part) for part in parts]
    stages = [
        _placed(plan, config, index) if config.stages else plan
        for index, (plan, _) in enumerate(resolved)
    ]
    wrong: dict[str, str] = {}  # what is wrong in all stages is said of the first
    for stage, part in zip(stages, parts, strict=True):
        for fault in faults(stage, part):
            wrong.setdefault(fault, f"{stage.label}: {fault}" if stage.label else fault)
    missing = _file_faults(config) if files else ()
    _refuse([*wrong.values(), *chain_faults(stages), *missing], where)
    notes = (
        *_notes(config, [keys for _, keys in resolved]),
        *dict.fromkeys(stage.note for stage in stages if stage.note),
    )
    data = data_plan(Keys(config))
    return RunPlan(tuple(stages), data, bool(config.stages), notes, config.model_dump(mode="json"))


def plan_table(table: Mapping[str, Any], where: str = "config") -> RunPlan:
    """Return the plan of a config that a run was begun with, as JSON; its files may be gone.

    Raises:
        ConfigError: as `plan_run`.
    """
    return plan_run(parse_config(table, where, strict=False), where, files=False)


def _placed(plan: StagePlan, config: Config, index: int) -> StagePlan:
    """Return a stage's plan with its names."""
    stage, name = config.stages[index], stage_name(config.stages, index)
    return replace(
        plan,
        label=stage_label(config.stages, index),
        name=name,
        place=f"stage {index + 1}/{len(config.stages)}" + (f" {name}" if stage.name else ""),
        folder=f"{index + 1}-{name}" if stage.name else name,
        trained=tuple(stage.tasks),
    )


def _notes(config: Config, parts: list[Keys]) -> tuple[str, ...]:
    return tuple(filter(None, (unused_line(config, parts), dropped_note(config))))


def _refuse(faults: Sequence[str], where: str) -> None:
    if faults:
        raise ConfigError(*(f"{where}: {fault}" for fault in faults))


def _file_faults(config: Config) -> Iterator[str]:
    """Yield each value that names no data file, or too much: the task, the key, the path."""
    for section, tasks in (("tasks", config.tasks), ("texts", config.texts)):
        for name, task in tasks.items():
            for split in ("train", "dev", "test"):
                value = getattr(task, split, None)
                if value is None:
                    continue
                try:
                    find_files(value)
                except ConfigError as error:
                    yield from (f"{section}.{name}.{split}: {line}" for line in error.args)
