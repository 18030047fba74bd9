"""Single keys of a config's table, set by dotted names: of the whole run, or of one stage."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from accord.config.stages import SECTIONS, Table
from accord.errors import ConfigError


def read_override(text: str) -> tuple[str, Any]:
    """Return the key and the value of a `--set`; the value is TOML, or plain text.

    Raises:
        ConfigError: if it isn't of the form `training.epochs=2`.

    Example:
        >>> read_override("training.epochs=2"), read_override("training.device=cpu")
        (('training.epochs', 2), ('training.device', 'cpu'))
    """
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not all(key.split(".")):
        raise ConfigError(f"--set {text}: takes KEY=VALUE, as in training.epochs=2")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value.strip()


def of_a_stage(key: str) -> bool:
    """Whether a dotted key is one stage's; these are set last, as others hold in every stage."""
    return key.lstrip().startswith("stages.")


def set_keys(table: Table, overrides: Sequence[str]) -> None:
    """Apply `--set` overrides to a config's table, in place.

    Raises:
        ConfigError: as `read_override` and `set_key`.
    """
    for override in sorted(overrides, key=of_a_stage):
        set_key(table, *read_override(override), f"--set {override}")


def set_key(table: Table, key: str, value: Any, where: str) -> None:
    """Set a key of a config's table.

    One of the whole run's holds in every stage: what stages have for it themselves is taken out.

    Args:
        table: as the file's; changed in place.
        key: dotted; `stages.NAME.training.lr` is of the stage that `find_stage` finds.
        value: of it; copied.
        where: named in messages.

    Raises:
        ConfigError: if there is no such place.
    """
    place, path = table, key.split(".")
    if of_a_stage(key):
        place, path = find_stage(table, key, where), path[2:]
    elif path[0] in SECTIONS:
        for number, stage in enumerate(_by_name(table).values()):
            # Later stages don't get this one from the whole run: theirs is in nobody's way.
            if key != "encoder.reinit_layers" or number == 0:
                _drop(stage, path)
    for part in path[:-1]:
        place = place.setdefault(part, {})
        if not isinstance(place, dict):
            raise ConfigError(f"{where}: '{part}' is a value, not a section")
    place[path[-1]] = deepcopy(value)


def find_stage(table: Mapping[str, Any], key: str, where: str) -> Table:
    """Return the table of the stage that a dotted key is of: `stages.NAME.KEY`.

    Args:
        table: of a config, as the file's.
        key: NAME is the stage's name, or of one without a name its number, from 1.
        where: named in messages.

    Raises:
        ConfigError: if there is no such stage.
    """
    stages, (_, name, *rest) = _by_name(table), key.split(".")
    if not stages:
        raise ConfigError(f"{where}: the config has no stages")
    if name not in stages:
        raise ConfigError(f"{where}: no stage '{name}'; the stages are {', '.join(stages)}")
    if not rest:
        raise ConfigError(f"{where}: takes a key of the stage, as in stages.{name}.training.epochs")
    return stages[name]


def _by_name(table: Mapping[str, Any]) -> dict[str, Table]:
    """Return a table's stages by their names, or else their numbers; a name precedes a number."""
    given, stages = table.get("stages"), dict[str, Table]()
    for number, stage in enumerate(given if isinstance(given, list) else (), 1):
        if not isinstance(stage, dict):
            continue  # what is wrong with it is said when the whole table is checked
        if stage.get("name") is None:
            stages.setdefault(str(number), stage)
        else:
            stages[str(stage["name"])] = stage
    return stages


def _drop(table: Table, path: Sequence[str]) -> None:
    """Take a key out of a table, and the tables that are empty then."""
    key, *rest = path
    if rest:
        inner = table.get(key)
        if not isinstance(inner, dict):
            return
        _drop(inner, rest)
        if inner:
            return
    table.pop(key, None)
