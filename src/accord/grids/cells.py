"""A grid's cells: settings that vary over a base config, crossed, named, and made configs."""

from __future__ import annotations

import copy
import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from accord.config.file import (
    check_files,
    check_methods,
    drop_combining,
    parse_config,
    resolve_paths,
)
from accord.config.overrides import find_stage, of_a_stage, read_override, set_key
from accord.config.sections import Config
from accord.config.unused import effective, without_unused
from accord.errors import ConfigError, nearest

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
}
"""Names that a grid may use for keys, and shows them by; any dotted key is its own name."""

OF_TASKS = {"pooling": "pooling", "pairs": "encoding"}
"""Names that stand for a key of every task: `pairs` for those tasks that have pairs."""

_LONGEST_NAME = 150
_WHOLE = ("score", "stages")  # keys of a config that are no sections
_TABLES = ("config", "set", "axes", "cells", "seeds")

Settings = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One run of a grid.

    Attributes:
        name: of its run folder: what it varies.
        group: the name of all cells whose configs differ from its own in their seed alone.
        settings: what it varies, by key.
        config: with all of that applied, paths absolute.
    """

    name: str
    group: str
    settings: Settings
    config: Config

    @property
    def identity(self) -> str:
        """A hash of the config: cells of one identity are one run."""
        return identity_of(self.config)


def identity_of(config: Config) -> str:
    """Return a hash of a config: those of one identity make the same run."""
    return _hash(effective(config))


def _hash(table: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()


def load_grid(path: Path, overrides: Sequence[str] = ()) -> list[Cell]:
    """Read a grid file and return its cells.

    Args:
        path: TOML: `config` names the base config beside it; `[set]` overrides keys of it for all
            cells; `[axes]` has a list of values for each key that varies; each `[[cells]]` is
            crossed with the axes that it doesn't set itself, and without any the axes' product is
            the grid.
        overrides: texts of the form `training.epochs=2`, for all cells.

    Raises:
        ConfigError: one line a fault, naming the file and the cell.
    """
    table = _read(path, "grid file")
    _check_tables(path, table)
    base_path = path.parent / table["config"]
    base = _read(base_path, "config file")
    common = _common(path, table.get("set", {}), overrides, base)
    axes = _axes(path, table.get("axes", {}), table.get("seeds"), base)
    own = [_by_key(path, cell.items(), base) for cell in table.get("cells", [])]
    varied = list(dict.fromkeys([*axes, *(key for cell in own for key in cell)]))
    _check_common(path, common, axes, varied)
    shared = {key: value for key, (_, value) in common.items()}
    settings = list(crossed(axes, own))
    cells = make_cells(base, settings, shared, base_path.parent.resolve(), where=str(path))
    _check_options(path, [*common, *varied], cells)
    return cells


def _check_common(
    path: Path, common: Mapping[str, tuple[str, Any]], axes: Collection[str], varied: Sequence[str]
) -> None:
    """Refuse a key for all cells that they would set again; a cell may differ from `[set]`."""
    for key, (origin, _) in common.items():
        for other in axes if origin.startswith("[set]") else varied:
            if key == other or (key.startswith(f"{other}.") and other != "tasks"):
                raise ConfigError(
                    f"{path}: {origin}: is for all cells, but '{other}' is among what they vary"
                )


def _check_options(path: Path, keys: Sequence[str], cells: Sequence[Cell]) -> None:
    """Refuse options of a method that no cell chooses: they would make no difference."""
    used = {name for cell in cells for name in cell.config.methods}
    for key in keys:
        section, _, rest = key.partition(".")
        name = rest.partition(".")[0]
        if section == "methods" and name not in used:
            raise ConfigError(
                f"{path}: '{key}': no cell chooses '{name}', so its options make no difference"
            )


def crossed(axes: Mapping[str, Sequence[Any]], cells: Sequence[Settings]) -> Iterator[Settings]:
    """Yield each cell crossed with the axes that it doesn't set; no cell is one empty cell.

    Example:
        >>> list(crossed({"seed": [0, 1]}, [{"lr": 1e-4}, {"seed": 7}]))
        [{'lr': 0.0001, 'seed': 0}, {'lr': 0.0001, 'seed': 1}, {'seed': 7}]
    """
    for cell in cells or [{}]:
        own = {name: values for name, values in axes.items() if name not in cell}
        for values in product(*own.values()):
            yield {**cell, **dict(zip(own, values, strict=True))}


def make_cells(
    base: Mapping[str, Any],
    settings: Sequence[Settings],
    common: Mapping[str, Any],
    folder: Path,
    where: str,
    derived: Callable[[Settings], Settings] = lambda settings: {},
) -> list[Cell]:
    """Apply each cell's settings to a base config.

    Args:
        base: a config as nested mapping.
        settings: of each cell; `tasks` is a list of names or "all".
        common: dotted keys and values for all cells.
        folder: that relative paths are relative to.
        where: named in messages.
        derived: further keys that follow from a cell's settings, and need no place in its name.

    Returns:
        The cells, each identity once, under the first name that it came up by.

    Raises:
        ConfigError: naming the cell.
    """
    cells: dict[str, Cell] = {}
    names: dict[str, str] = {}
    groups: dict[str, str] = {}
    for own in settings:
        name = name_of(own)
        table = applied(base, {**common, **derived(own), **own}, f"{where}: cell {name}")
        try:
            config = resolve_paths(parse_config(table, where=f"{where}: cell {name}"), folder)
        except ConfigError as error:
            raise ConfigError(_with_advice(str(error), {**common, **own})) from None
        check_files(config, where=where)
        check_methods(config, where=f"{where}: cell {name}")
        config = without_unused(config)
        identity = identity_of(config)
        if names.setdefault(name, identity) != identity:
            name = f"{name}-{identity[:8]}"
        cell = Cell(name, _group(own, config, groups), dict(own), config)
        cells.setdefault(identity, cell)
    return list(cells.values())


def _group(settings: Settings, config: Config, groups: dict[str, str]) -> str:
    """Return a cell's group: known by its config without the seed, as names may be alike.

    Args:
        settings: of the cell.
        config: of the cell.
        groups: their names so far by the hash of that config; a new one is added.
    """
    table = effective(config)
    del table["training"]["seed"]
    model = _hash(table)
    if model not in groups:
        seeds = ("seed", "training.seed")
        name = name_of({key: value for key, value in settings.items() if key not in seeds})
        groups[model] = f"{name}-{model[:8]}" if name in groups.values() else name
    return groups[model]


def _with_advice(faults: str, settings: Mapping[str, Any]) -> str:
    """Say of a key that was given a list, but takes one value, where several values belong."""
    lists = {
        OF_TASKS.get(name, SHORT.get(name, name))
        for name, value in settings.items()
        if isinstance(value, list)
    }

    def advised(line: str) -> str:
        found = re.search(r": '([^']+)' should be (?!a list).*, got \[", line)
        if not found or lists.isdisjoint((found[1], found[1].rpartition(".")[2])):
            return line
        return f"{line}; a list of values belongs in [axes], or one [[cells]] each"

    return "\n".join(map(advised, faults.splitlines()))


def name_of(settings: Settings) -> str:
    """Return the name of a run folder that says what it varies.

    Example:
        >>> name_of({"tasks": ["sst", "sts"], "training.lr": 1e-4, "seed": 0})
        'sst+sts,lr=0.0001,seed=0'
    """
    parts = []
    for key, value in settings.items():
        text = "+".join(map(_shown, value)) or "none" if isinstance(value, list) else str(value)
        text = re.sub(r"[^\w.+-]", "-", text)
        parts.append(text if key == "tasks" else f"{_short(key, settings)}={text}")
    name = ",".join(parts) or "base"
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[:_LONGEST_NAME]}-{_hash(settings)[:8]}"


def _shown(value: Any) -> str:
    """Return a value of a list as a name has it: of a stage its name, or its tasks."""
    if isinstance(value, dict) and "tasks" in value:
        return str(value.get("name", ".".join(map(str, value["tasks"]))))
    return str(value)


def _short(key: str, settings: Settings) -> str:
    """Return a key's name of `SHORT`, or its last part where no other key's is the same."""
    for name, own in SHORT.items():
        if own == key:
            return name
    last = key.rsplit(".", 1)[-1]
    return last if sum(other.rsplit(".", 1)[-1] == last for other in settings) == 1 else key


def _read(path: Path, what: str) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such {what}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: can't be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None


def _check_tables(path: Path, table: Mapping[str, Any]) -> None:
    for name in table:
        if name not in _TABLES:
            raise ConfigError(f"{path}: unknown key '{name}'{nearest(name, _TABLES)}")
    if not isinstance(table.get("config"), str):
        raise ConfigError(f'{path}: config: takes the base config\'s path, as in "accord.toml"')
    for name, kind, shown in (("set", dict, "a table"), ("axes", dict, "a table"),
                              ("cells", list, "[[cells]] tables")):  # fmt: skip
        if not isinstance(table.get(name, kind()), kind):
            raise ConfigError(f"{path}: {name}: takes {shown}, got {table[name]!r}")
    if not all(isinstance(cell, dict) for cell in table.get("cells", [])):
        raise ConfigError(f"{path}: cells: takes [[cells]] tables")


def _common(
    path: Path, table: Mapping[str, Any], overrides: Sequence[str], base: Mapping[str, Any]
) -> dict[str, tuple[str, Any]]:
    """Return where each key for all cells was given, and its value: `[set]`, then overrides."""
    found = _by_key(path, _flat(table), base)
    common = {key: (f"[set] {key}", value) for key, value in found.items()}
    for text in overrides:
        name, value = read_override(text)
        common[setting_key(f"--set {text}", name, base)] = f"--set {text}", value
    return common


def _axes(
    path: Path, table: Mapping[str, Any], seeds: Any, base: Mapping[str, Any]
) -> dict[str, list[Any]]:
    named = list(_flat(table))
    for name, values in named:
        if not isinstance(values, list) or not values:
            raise ConfigError(f"{path}: axes.{name}: takes a list of values, got {values!r}")
    axes = _by_key(path, named, base)
    if seeds is not None:
        if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 1:
            raise ConfigError(f"{path}: seeds: takes how many there are, 1 or more, got {seeds!r}")
        if "training.seed" in axes:
            raise ConfigError(f"{path}: seeds: is set, and axes.seed too; one is enough")
        axes["training.seed"] = list(range(seeds))
    return axes


def _by_key(
    where: str | Path, named: Iterable[tuple[str, Any]], base: Mapping[str, Any]
) -> dict[str, Any]:
    """Return values by key, each given once by whatever name."""
    found: dict[str, Any] = {}
    names: dict[str, str] = {}
    for name, value in named:
        key = setting_key(where, name, base)
        if key in found:
            raise ConfigError(f"{where}: '{name}': is there twice, as '{names[key]}' before")
        found[key], names[key] = value, name
    return found


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def setting_key(where: str | Path, name: str, base: Mapping[str, Any]) -> str:
    """Return the key of what a cell may set: `tasks`, a name of `OF_TASKS`, or a dotted key.

    Args:
        where: named in messages.
        name: of that, or of `SHORT`.
        base: the config as nested mapping.

    Raises:
        ConfigError: if a config has no such section or task, or it is a task's whole table.
    """
    if name == "tasks" or name in OF_TASKS:
        return name
    key = dotted_key(where, name, base)
    if key.startswith("tasks.") and key.count(".") == 1:
        raise ConfigError(f"{where}: '{name}': is a whole task; {key}.KEY is one of its keys")
    return key


def dotted_key(where: str | Path, name: str, base: Mapping[str, Any]) -> str:
    """Return the dotted key that a name of `SHORT` stands for, or a key itself.

    Args:
        where: named in messages.
        name: of `SHORT`, or a dotted key.
        base: the config as nested mapping.

    Raises:
        ConfigError: if a config has no such section, task or stage.
    """
    key = SHORT.get(name, name)
    section = key.split(".")[0]
    if section not in Config.model_fields or (key == section and section not in _WHOLE):
        sections = [
            f"{field}.NAME.KEY" if field in ("tasks", "texts", "stages") else f"{field}.KEY"
            for field in Config.model_fields if field not in _WHOLE or field == "stages"
        ]  # fmt: skip
        known = ["tasks", *_WHOLE, *SHORT, *OF_TASKS, *sections]
        raise ConfigError(f"{where}: '{name}': no key of a config{nearest(name, known)}")
    if section == "tasks" and key.split(".")[1] not in base.get("tasks", {}):
        raise ConfigError(
            f"{where}: '{name}': no such task{nearest(key.split('.')[1], base.get('tasks', {}))}"
        )
    if of_a_stage(key):
        find_stage(base, key, f"{where}: '{name}'")
    return key


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
    for task in tasks.values():
        kind = str(task.get("kind", ""))
        if kind.startswith("pair-") if name == "pairs" else kind != "masked-lm":
            task[OF_TASKS[name]] = value
