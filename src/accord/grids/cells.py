"""A grid's cells: settings that vary over a base config, crossed, named, and made configs."""

from __future__ import annotations

import copy
import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
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
"""Names that a grid may use for keys; any dotted key is its own name."""

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
        settings: what it varies, by the names that the grid uses.
        config: with all of that applied, paths absolute.
    """

    name: str
    settings: Settings
    config: Config

    @property
    def group(self) -> str:
        """The name of all cells that differ from this one in their seed alone."""
        seeds = ("seed", "training.seed")
        return name_of({key: value for key, value in self.settings.items() if key not in seeds})

    @property
    def identity(self) -> str:
        """A hash of the config: cells of one identity are one run."""
        content = json.dumps(effective(self.config), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()


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
    common = {_known(path, key, base): value for key, value in _flat(table.get("set", {}))}
    for text in overrides:
        key, value = read_override(text)
        common[_known(f"--set {text}", key, base)] = value
    axes = _axes(path, table.get("axes", {}), table.get("seeds"))
    for name in {*axes, *(key for cell in table.get("cells", []) for key in cell)}:
        _known(path, name, base)
    settings = list(crossed(axes, table.get("cells", [])))
    return make_cells(base, settings, common, base_path.parent.resolve(), where=str(path))


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
    for own in settings:
        name = name_of(own)
        table = applied(base, {**common, **derived(own), **own}, f"{where}: cell {name}")
        try:
            config = resolve_paths(parse_config(table, where=f"{where}: cell {name}"), folder)
        except ConfigError as error:
            raise ConfigError(_with_advice(str(error), {**common, **own})) from None
        check_files(config, where=where)
        check_methods(config, where=f"{where}: cell {name}")
        cell = Cell(name, dict(own), without_unused(config))
        if names.setdefault(name, cell.identity) != cell.identity:
            cell = Cell(f"{name}-{cell.identity[:8]}", dict(own), cell.config)
        cells.setdefault(cell.identity, cell)
    return list(cells.values())


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
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    return f"{name[:_LONGEST_NAME]}-{digest[:8]}"


def _shown(value: Any) -> str:
    """Return a value of a list as a name has it: of a stage its name, or its tasks."""
    if isinstance(value, dict) and "tasks" in value:
        return str(value.get("name", ".".join(map(str, value["tasks"]))))
    return str(value)


def _short(key: str, settings: Settings) -> str:
    """Return a key's last part, where no other key's is the same."""
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


def _axes(path: Path, table: Mapping[str, Any], seeds: Any) -> dict[str, list[Any]]:
    axes = dict(_flat(table))
    for name, values in axes.items():
        if not isinstance(values, list) or not values:
            raise ConfigError(f"{path}: axes.{name}: takes a list of values, got {values!r}")
    if seeds is not None:
        if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 1:
            raise ConfigError(f"{path}: seeds: takes how many there are, 1 or more, got {seeds!r}")
        if "seed" in axes or "training.seed" in axes:
            raise ConfigError(f"{path}: seeds: is set, and axes.seed too; one is enough")
        axes["seed"] = list(range(seeds))
    return axes


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _known(where: str | Path, name: str, base: Mapping[str, Any]) -> str:
    """Return the dotted key that a name stands for, or the name if it stands for several."""
    return name if name == "tasks" or name in OF_TASKS else dotted_key(where, name, base)


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
    for name in sorted(settings, key=of_a_stage):
        key = SHORT.get(name, name)
        if name in OF_TASKS:
            _set_in_tasks(table["tasks"], name, settings[name])
        elif name != "tasks" and not _left_out(table["tasks"], key):
            set_key(table, key, settings[name], where)
    drop_combining(table, base.get("tasks", {}))
    return table


def _chosen(tasks: dict[str, Any], chosen: Any, where: str) -> dict[str, Any]:
    """Return the tasks that a cell names, in the base config's order."""
    if chosen == "all":
        return tasks
    names = [chosen] if isinstance(chosen, str) else list(chosen)
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
