"""What was edited of a run's config.toml since the run began."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accord.data.datafiles import named, shown
from accord.errors import ConfigError, RunFolderError
from accord.plan.keys import flat
from accord.plan.making import plan_table
from accord.plan.recorded import recorded_config
from accord.plan.run import RunPlan, StagePlan
from accord.runs.folder import RunFolder
from accord.training.setup import OTHER_WAYS
from accord.untrusted import read_toml

_FILES = ("train", "dev", "test", "path")  # keys that say where something lies


def plan_again(
    run: RunFolder, begun: Mapping[str, Any], force: bool = False
) -> tuple[RunPlan, list[str]]:
    """Return the plan that a run began with, and what was edited since in its config.toml.

    Where things lie may be edited, and in which way steps are taken (`OTHER_WAYS`); other edits are
    taken over with `force` alone.

    Args:
        run: its folder.
        begun: what `resolved.json` holds.
        force: take over every edit.
    """
    recorded_config(run)  # checks that it can be used
    edits = list(edits_of(run, begun))
    edited = [edit.shown for edit in edits if not edit.is_free]
    return edited_plan(run, begun, [edit for edit in edits if edit.is_free or force]), edited


@dataclass(frozen=True)
class Edit:
    """A key of a run's config whose value changed since the run began; None is no such key."""

    key: str
    before: Any
    after: Any

    @property
    def is_path(self) -> bool:
        """Whether it says where something lies: what lies there is compared by content."""
        return self.key.rsplit(".", 1)[-1] in _FILES and self.after is not None

    @property
    def is_free(self) -> bool:
        """Whether it may be made while a run is stopped: its steps stay what they are."""
        return self.is_path or self.key in OTHER_WAYS or self.key.startswith("track.")

    @property
    def shown(self) -> str:
        """The key, and what its value was and is."""
        return f"{self.key}: {self.before} -> {self.after}"


def edits_of(run: RunFolder, begun: Mapping[str, Any]) -> Iterator[Edit]:
    """Yield what was edited in the run's own config.toml."""
    yield from _differing(part_of(begun, "config_toml"), source_table(run))


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[Edit]:
    before, after = dict(flat(one)), dict(flat(other))
    for key in {**before, **after}:
        if before.get(key) != after.get(key):
            yield Edit(key, before.get(key), after.get(key))


def other_settings(before: StagePlan, after: StagePlan) -> list[str]:
    """Return in which keys two plans differ, other than where things lie."""
    edits = _differing(before.settings, after.settings)
    return [edit.shown for edit in edits if not edit.is_path]


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return in which keys two configs, as nested mappings, differ: `key: before -> after`."""
    return [edit.shown for edit in _differing(before, after)]


def edited_plan(run: RunFolder, begun: Mapping[str, Any], edits: Sequence[Edit]) -> RunPlan:
    """Return the plan of the config as it began, with some edits."""
    file, table = run.path / "config.toml", copy.deepcopy(part_of(begun, "config"))
    for edit in edits:
        if edit.is_path and not all(Path(path).is_absolute() for path in named(edit.after)):
            raise RunFolderError(
                f"{file}: {edit.key}: takes a full path here, got '{shown(edit.after)}'"
            )
        _put(table, edit.key.split("."), edit.after)
    try:
        return plan_table(table, str(file))
    except ConfigError as error:
        raise RunFolderError(*error.args) from None


def _put(table: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Put a value in its place in nested tables, or take it out if it is None, and with it a table
    that it leaves empty."""
    name, *inside = path
    if not inside:
        table[name] = value
    else:
        table[name] = dict(table[name]) if isinstance(table.get(name), dict) else {}
        _put(table[name], inside, value)
    if table[name] is None or table[name] == {}:
        del table[name]


def source_table(run: RunFolder) -> dict[str, Any]:
    """Return what stands in the run's own config.toml; empty where there is none.

    Raises:
        RunFolderError: if it can't be read.
    """
    file = run.path / "config.toml"
    try:
        return read_toml(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{file}: can't be read: {error}") from None


def part_of(begun: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a part of `resolved.json`; empty where there is none that can be used."""
    part = begun.get(name)
    return part if isinstance(part, dict) else {}
