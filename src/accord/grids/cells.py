"""A grid's cells: settings that vary over a base config, crossed, named, and made configs."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from accord.config.file import drop_combining, parse_config, resolve_paths
from accord.config.overrides import of_a_stage, set_key
from accord.config.sections import Config
from accord.errors import ConfigError, nearest
from accord.kinds import get_kind, is_kind, texts_of
from accord.plan.making import plan_run
from accord.plan.unused import effective, without_unused

SHORT = {
    "batching": "training.batching",
    "gradients": "training.gradients",
    "balancing": "training.balancing",
    "granularity": "training.granularity",
    "mode": "encoder.mode",
    "seed": "training.seed",
    "lr": "training.lr",
    "epochs": "training.epochs",
    "precision": "training.precision",
    "steps": "training.steps_per_epoch",
    "examples": "training.examples",
}
"""Names that a grid may use for keys, and shows them by; any dotted key is its own name."""

OF_TASKS = {"pooling": "pooling", "pairs": "encoding"}
"""Names that stand for a key of every task: `pairs` for those tasks that have pairs."""

_LONGEST_NAME = 150
_SEEDS = ("seed", "training.seed")

Settings = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One run of a grid.

    Attributes:
        name: of its run folder: what it varies.
        group: the name of all cells whose configs differ from its own in their seed alone.
        settings: what it varies, by key.
        config: with all of that applied, paths absolute.
        labels: by which a report knows it.
    """

    name: str
    group: str
    settings: Settings
    config: Config
    labels: tuple[str, ...] = ()

    @cached_property
    def identity(self) -> str:
        """A hash of the config: cells of one identity are one run."""
        return identity_of(self.config)

    @cached_property
    def model(self) -> str:
        """A hash of the config without its seed: what cells of one group have in common."""
        return model_of(self.config)


@dataclass(frozen=True)
class Draft:
    """A cell's settings before its config is made.

    Attributes:
        settings: what it varies, by key; `tasks` is a list of names or "all".
        label: by which a report knows it, if it is to.
        as_much_as: the label of a cell that shows as much of this one's tasks.
        equal_budget: whether the cell is there where all cells get an equal budget.
    """

    settings: Settings = field(default_factory=dict)
    label: str | None = None
    as_much_as: str | None = None
    equal_budget: bool = True


def model_of(config: Config) -> str:
    """Return a hash of a config without its seed."""
    table = effective(config)
    del table["training"]["seed"]
    return _hash(table)


def identity_of(config: Config) -> str:
    """Return a hash of a config: those of one identity make the same run."""
    return _hash(effective(config))


def _hash(table: Mapping[str, Any]) -> str:
    # 5 and 5.0 are one value, however a file spells it.
    with_floats = json.loads(json.dumps(table), parse_int=float)
    return hashlib.sha256(json.dumps(with_floats, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class CellMaker:
    """Makes cells over a base config.

    Attributes:
        base: a config as nested mapping.
        common: dotted keys and values for all cells.
        folder: that relative paths are relative to.
        where: named in messages.
        derived: further keys that follow from a cell's settings, and need no place in its name.
    """

    base: Mapping[str, Any]
    common: Mapping[str, Any]
    folder: Path
    where: str
    derived: Callable[[Settings], Settings] = lambda settings: {}

    def config(self, settings: Settings) -> Config:
        """Return the config that a cell's settings make, paths absolute.

        Raises:
            ConfigError: naming the cell.
        """
        where = f"{self.where}: cell {name_of(settings)}"
        table = applied(self.base, {**self.common, **self.derived(settings), **settings}, where)
        try:
            config = resolve_paths(parse_config(table, where=where), self.folder)
        except ConfigError as error:
            raise ConfigError(*_with_advice(error.args, {**self.common, **settings})) from None
        plan_run(config, where=where)
        return without_unused(config)

    def cells(self, drafts: Iterable[Draft]) -> list[Cell]:
        """Return the cells, each identity once, under the first name that it came up by.

        Raises:
            ConfigError: naming the cell.
        """
        cells: dict[str, Cell] = {}
        names: dict[str, str] = {}
        groups: dict[str, str] = {}
        for draft in drafts:
            name, config = name_of(draft.settings), self.config(draft.settings)
            identity = identity_of(config)
            if names.setdefault(name, identity) != identity:
                name = f"{name}-{identity[:8]}"
            group = _group(draft.settings, config, groups)
            cell = cells.setdefault(identity, Cell(name, group, dict(draft.settings), config))
            if draft.label is not None and draft.label not in cell.labels:
                cells[identity] = replace(cell, labels=(*cell.labels, draft.label))
        return list(cells.values())


def _group(settings: Settings, config: Config, groups: dict[str, str]) -> str:
    """Return a cell's group: known by its config without the seed, as names may be alike.

    Args:
        settings: of the cell.
        config: of the cell.
        groups: their names so far by the hash of that config; a new one is added.
    """
    model = model_of(config)
    if model not in groups:
        name = name_of(without_seed(settings))
        groups[model] = f"{name}-{model[:8]}" if name in groups.values() else name
    return groups[model]


def without_seed(settings: Settings) -> Settings:
    """Return a cell's settings except for its seed."""
    return {key: value for key, value in settings.items() if key not in _SEEDS}


def _with_advice(faults: Iterable[str], settings: Mapping[str, Any]) -> Iterator[str]:
    """Say of a key that was given a list, but takes one value, where several values belong."""
    lists = {
        OF_TASKS.get(name, SHORT.get(name, name))
        for name, value in settings.items()
        if isinstance(value, list)
    }

    def advised(line: str) -> str:
        matched = re.search(r": '([^']+)' should be (?!a list).*, got \[", line)
        if not matched or lists.isdisjoint((matched[1], matched[1].rpartition(".")[2])):
            return line
        return f"{line}; a list of values belongs in [axes], or one [[cells]] each"

    return map(advised, faults)


def name_of(settings: Settings) -> str:
    """Return the name of a run folder that says what it varies: its tasks first, its seed last.

    Example:
        >>> name_of({"tasks": ["sst", "sts"], "training.lr": 1e-4, "seed": 0})
        'sst+sts,lr=0.0001,seed=0'
        >>> name_of({"methods.fixed.weights": {"sst": 1.0, "sts": 2.25}})
        'weights=sst-1+sts-2.25'
    """
    parts = []
    for key, value in sorted(settings.items(), key=lambda item: _place(item[0])):
        if isinstance(value, dict):
            text = "+".join(f"{name}-{_shown(part)}" for name, part in value.items())
        else:
            text = "+".join(map(_shown, value)) or "none" if isinstance(value, list) else str(value)
        text = re.sub(r"[^\w.+-]", "-", text)
        parts.append(text if key == "tasks" else f"{_short(key, settings)}={text}")
    name = ",".join(parts) or "base"
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[:_LONGEST_NAME]}-{_hash(settings)[:8]}"


def _place(key: str) -> int:
    return 0 if key == "tasks" else 2 if key in _SEEDS else 1


def _shown(value: Any) -> str:
    """Return a value of a list as a name has it: of a stage its name, or its tasks."""
    if isinstance(value, dict) and "tasks" in value:
        return str(value.get("name", ".".join(map(str, value["tasks"]))))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _short(key: str, settings: Settings) -> str:
    """Return a key's name of `SHORT`, or its last part where no other key's is the same; a stage's
    key is named with its stage."""
    if of_a_stage(key):
        _, stage, key = key.split(".", 2)
        return f"{stage}.{_short(key, {key: None})}"
    for name, form in SHORT.items():
        if form == key:
            return name
    last = key.rsplit(".", 1)[-1]
    return last if sum(other.rsplit(".", 1)[-1] == last for other in settings) == 1 else key


def applied(base: Mapping[str, Any], settings: Settings, where: str) -> dict[str, Any]:
    """Return a base config with a cell's settings.

    Args:
        base: a config as nested mapping.
        settings: by dotted key, or a name of `SHORT` or `OF_TASKS`; `tasks` as in `make_cells`.
        where: named in messages.

    Raises:
        ConfigError: if there is no such place in a config.
    """
    table = copy.deepcopy(dict(base))
    table["tasks"] = _chosen(table.get("tasks", {}), settings.get("tasks", "all"), where)
    for name in OF_TASKS:  # before the keys of single tasks, which say more
        if name in settings:
            _set_in_tasks(table["tasks"], name, settings[name])
    for name in sorted(settings, key=of_a_stage):
        key = SHORT.get(name, name)
        if name != "tasks" and name not in OF_TASKS and not _left_out(table["tasks"], key):
            set_key(table, key, settings[name], where)
    drop_combining(table, base.get("tasks", {}))
    return table


def _chosen(tasks: dict[str, Any], chosen: Any, where: str) -> dict[str, Any]:
    """Return the tasks that a cell names, in the base config's order."""
    if chosen == "all":
        return tasks
    names = [chosen] if isinstance(chosen, str) else chosen
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f'{where}: tasks: takes a list of names or "all", got {chosen!r}')
    for name in names:
        if name not in tasks:
            raise ConfigError(f"{where}: no task '{name}'{nearest(name, tasks)}")
    return {name: task for name, task in tasks.items() if name in names}


def _left_out(tasks: dict[str, Any], key: str) -> bool:
    """Whether a key is of a task that a cell leaves out."""
    section, _, rest = key.partition(".")
    return section == "tasks" and rest.partition(".")[0] not in tasks


def _set_in_tasks(tasks: dict[str, Any], name: str, value: Any) -> None:
    key = OF_TASKS[name]
    for task in tasks.values():
        kind = task.get("kind")
        takes = not is_kind(kind) or key in get_kind(kind).section.model_fields
        if takes and (name != "pairs" or texts_of(str(kind)) == 2):
            task[key] = value
