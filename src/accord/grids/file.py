"""A grid's file: what varies over a base config, read, checked, crossed, made cells."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from accord.config.overrides import find_stage, of_a_stage, read_override
from accord.config.sections import Config
from accord.errors import ConfigError, nearest
from accord.grids.cells import OF_TASKS, SHORT, Cell, Settings, make_cells
from accord.untrusted import read_toml

_TABLES = ("config", "set", "axes", "cells", "seeds")
_WHOLE = ("score", "stages")  # keys of a config that are no sections


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


def _read(path: Path, what: str) -> dict[str, Any]:
    try:
        return read_toml(path)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such {what}") from None
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None


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
