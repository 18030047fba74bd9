"""A grid's file: what varies over a base config, read, checked, crossed, made cells."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from pathlib import Path
from typing import Any, get_args

from accord.config.overrides import find_stage, of_a_stage, read_override
from accord.config.sections import Config
from accord.errors import ConfigError, nearest
from accord.grids.amounts import Amounts, Budget, Sizes
from accord.grids.cells import OF_TASKS, SHORT, Cell, CellMaker, Draft, Settings
from accord.plan.keys import flat
from accord.untrusted import read_toml

_TABLES = ("config", "set", "axes", "cells", "seeds", "equal", "report")
_NOT_SECTIONS = ("score", "stages")  # keys of a config that are no sections
_OF_CELLS = tuple(field.name for field in fields(Draft) if field.name != "settings")


@dataclass(frozen=True)
class Grid:
    """A grid file, read.

    Attributes:
        path: of the file.
        cells: seed by seed as the axes have it, those of one config once.
        labels: in the file's order; an equal budget leaves some without cells.
        report: what the file's `[report]` holds; None where it has none.
    """

    path: Path
    cells: list[Cell]
    labels: tuple[str, ...]
    report: Mapping[str, Any] | None


def read_grid(path: Path, overrides: Sequence[str] = ()) -> Grid:
    """Read a grid file, and make its cells.

    Args:
        path: TOML: `config` names the base config beside it; `[set]` overrides keys of it for all
            cells; `[axes]` has a list of values for each key that varies; each `[[cells]]` is
            crossed with the axes that it doesn't set itself, and without any the axes' product is
            the grid.
        overrides: texts of the form `training.epochs=2`, for all cells.

    Raises:
        ConfigError: one line per fault, naming the file and the cell.
    """
    table = read_table(path, "grid file")
    if not isinstance(table.get("config"), str):
        raise ConfigError(f'{path}: config: takes the base config\'s path, as in "accord.toml"')
    base = path.parent / table["config"]
    return make_grid(path, table, read_table(base, "config file"), base.parent, overrides)


def make_grid(
    path: Path,
    table: Mapping[str, Any],
    base: Mapping[str, Any],
    folder: Path,
    overrides: Sequence[str] = (),
    derived: Callable[[Settings], Settings] = lambda settings: {},
    sizes: Sizes | None = None,
) -> Grid:
    """Make the cells of a grid file over a base config.

    Args:
        path: of the file, named in messages.
        table: what it holds.
        base: the config as nested mapping.
        folder: that the base config's relative paths are relative to.
        overrides: as `read_grid`.
        derived: as `CellMaker`.
        sizes: of training data that were read before.

    Raises:
        ConfigError: one line per fault, naming the file and the cell.
        UsageError: where cells' amounts depend on the data: whatever is wrong with these.
    """
    _check_tables(path, table)
    common = _common(path, table.get("set", {}), overrides, base)
    axes = _axes(path, table.get("axes", {}), table.get("seeds"), base)
    cells = [_draft(path, cell, base) for cell in table.get("cells", [])]
    varied = list(dict.fromkeys([*axes, *(key for cell in cells for key in cell.settings)]))
    _check_common(path, common, axes, varied)
    shared = {key: value for key, (_, value) in common.items()}
    drafts = [
        replace(draft, settings=settings)
        for draft in cells or [Draft()]
        for settings in crossed(axes, [_varying(draft.settings, shared)])
    ]
    make = CellMaker(base, shared, folder.resolve(), str(path), derived)
    labels = tuple(dict.fromkeys(draft.label for draft in drafts if draft.label is not None))
    equal = table.get("equal")
    _check_amounts(path, drafts, labels)
    if equal or any(draft.as_much_as for draft in drafts):
        drafts = Amounts(make, sizes or Sizes(lambda text: None)).settled(drafts, equal)
    made = make.cells(drafts)
    _check_options(path, [*common, *varied], made)
    return Grid(path, made, labels, table.get("report"))


def _draft(path: Path, cell: Mapping[str, Any], base: Mapping[str, Any]) -> Draft:
    """Read one of the file's cells."""
    given = {key: cell[key] for key in _OF_CELLS if key in cell}
    for key, value in given.items():
        kind, shown = (bool, "true or false") if key == "equal_budget" else (str, "a text")
        if not isinstance(value, kind) or value == "":
            raise ConfigError(f"{path}: cells: {key}: takes {shown}, got {value!r}")
    settings = [item for item in cell.items() if item[0] not in given]
    return Draft(_by_key(path, settings, base), **given)


def _varying(settings: Settings, shared: Mapping[str, Any]) -> Settings:
    """Leave out what a cell says as all of them do: it makes no other cell."""
    return {
        key: value for key, value in settings.items() if key not in shared or shared[key] != value
    }


def _check_amounts(path: Path, drafts: Sequence[Draft], labels: Sequence[str]) -> None:
    """Check that cells which are to show as much as another name one that says itself how much."""
    for draft in drafts:
        name = draft.as_much_as
        if name is not None and name not in labels:
            raise ConfigError(f"{path}: as_much_as: no cell '{name}'{nearest(name, labels)}")
        named = [same for same in drafts if name is not None and same.label == name]
        if any(draft.as_much_as is not None for draft in named):
            raise ConfigError(
                f"{path}: as_much_as: '{name}' names another cell itself; name that one"
            )


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
        varied = {name: values for name, values in axes.items() if name not in cell}
        for values in product(*varied.values()):
            yield {**cell, **dict(zip(varied, values, strict=True))}


def read_table(path: Path, what: str) -> dict[str, Any]:
    """Read a TOML file; `what` names it where it is missing.

    Raises:
        ConfigError: if it can't be read.
    """
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
    for name, kind, shown in (("set", dict, "a table"), ("axes", dict, "a table"),
                              ("cells", list, "[[cells]] tables"),
                              ("report", dict, "a table")):  # fmt: skip
        if not isinstance(table.get(name, kind()), kind):
            raise ConfigError(f"{path}: {name}: takes {shown}, got {table[name]!r}")
    if not all(isinstance(cell, dict) for cell in table.get("cells", [])):
        raise ConfigError(f"{path}: cells: takes [[cells]] tables")
    if table.get("equal") not in (None, *get_args(Budget)):
        shown = " or ".join(map(repr, get_args(Budget)))
        raise ConfigError(f"{path}: equal: takes {shown}, got {table['equal']!r}")


def _common(
    path: Path, table: Mapping[str, Any], overrides: Sequence[str], base: Mapping[str, Any]
) -> dict[str, tuple[str, Any]]:
    """Return where each key for all cells was given, and its value: `[set]`, then overrides."""
    values = _by_key(path, flat(table), base)
    common = {key: (f"[set] {key}", value) for key, value in values.items()}
    for text in overrides:
        name, value = read_override(text)
        common[setting_key(f"--set {text}", name, base)] = f"--set {text}", value
    return common


def _axes(
    path: Path, table: Mapping[str, Any], seeds: Any, base: Mapping[str, Any]
) -> dict[str, list[Any]]:
    named = list(flat(table))
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
    by_key: dict[str, Any] = {}
    names: dict[str, str] = {}
    for name, value in named:
        key = setting_key(where, name, base)
        if key in by_key:
            raise ConfigError(f"{where}: '{name}': is there twice, as '{names[key]}' before")
        by_key[key], names[key] = value, name
    return by_key


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
    if section not in Config.model_fields or (key == section and section not in _NOT_SECTIONS):
        sections = [
            f"{field}.NAME.KEY" if field in ("tasks", "texts", "stages") else f"{field}.KEY"
            for field in Config.model_fields if field not in _NOT_SECTIONS or field == "stages"
        ]  # fmt: skip
        known = ["tasks", *_NOT_SECTIONS, *SHORT, *OF_TASKS, *sections]
        raise ConfigError(f"{where}: '{name}': no key of a config{nearest(name, known)}")
    if section == "tasks" and key.split(".")[1] not in base.get("tasks", {}):
        raise ConfigError(
            f"{where}: '{name}': no such task{nearest(key.split('.')[1], base.get('tasks', {}))}"
        )
    if of_a_stage(key):
        find_stage(base, key, f"{where}: '{name}'")
    return key
