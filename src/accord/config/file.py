"""A run's TOML file: read, overridden, its keys checked, and written again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from accord.config.faults import fault_lines
from accord.config.overrides import set_keys
from accord.config.sections import Config
from accord.config.stages import keep_stages, stage_label, stage_table
from accord.config.tasks import AnyTaskConfig
from accord.config.training import COMBINING
from accord.data.datafiles import of_the_same_files
from accord.errors import ConfigError, nearest
from accord.kinds import is_unlabelled
from accord.untrusted import read_toml


def load_config(
    path: Path,
    overrides: Sequence[str] = (),
    only: Sequence[str] = (),
) -> Config:
    """Read a TOML file, apply `--set` overrides, make paths absolute, and check every key.

    Relative paths are relative to the file's own folder. Whether its keys go together, and its
    files are there, is `accord.plan`'s to say.

    Args:
        path: the TOML file.
        overrides: texts of the form `training.epochs=2`; values are TOML, or plain text.
        only: names of tasks, to leave out all others; none leaves out none.

    Raises:
        ConfigError: one line per fault: where, what was given, what is allowed.
    """
    try:
        table = read_toml(path)
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such config file; 'accord init FILE...' writes one"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None
    set_keys(table, overrides)
    config = resolve_paths(parse_config(table, where=str(path)), path.parent.resolve())
    return _only(config, only, str(path))


def _only(config: Config, names: Sequence[str], where: str) -> Config:
    for name in names:
        if name not in config.tasks:
            raise ConfigError(f"{where}: no task '{name}'{nearest(name, config.tasks)}")
    tasks = {name: task for name, task in config.tasks.items() if name in names or not names}
    return reduced(config, tasks)


def reduced(config: Config, tasks: Mapping[str, AnyTaskConfig]) -> Config:
    """Return a config of some of the tasks; with one, nothing that combines several is left in."""
    table = config.model_dump(exclude_unset=True)
    before = table["tasks"]
    table["tasks"] = {name: before[name] for name in tasks}
    drop_combining(table, before)
    return Config.model_validate(table)


def drop_combining(table: dict[str, Any], before: Mapping[str, Any]) -> None:
    """Remove from a config's table what its remaining tasks have no use for.

    Args:
        table: as the file's.
        before: the tables of all tasks that it had.
    """
    tasks = table["tasks"]
    if len(tasks) == len(before):
        return
    _leave_out_what_others_label(tasks, before)
    _keep_texts(table, before)
    keep_stages(table)
    _forget(table, before.keys() - tasks.keys())
    if len(tasks) > 1:
        return
    for stage in (table, *table.get("stages", ())):
        for key in COMBINING:
            name = stage.get("training", {}).pop(key, None)
            if isinstance(name, str):
                table.get("methods", {}).pop(name, None)
    if table.get("sharing", {}).pop("soft", None) is not None:
        table["sharing"].pop("soft_weight", None)


def _leave_out_what_others_label(tasks: dict[str, Any], before: Mapping[str, Any]) -> None:
    """Settle what a row without a label does while it is known that other tasks name its file."""
    files = {
        name: task.get("train") for name, task in before.items()
        if not is_unlabelled(task.get("kind"))
    }  # fmt: skip
    for name in of_the_same_files(files):
        if name in tasks and tasks[name].get("unlabelled") is None:
            tasks[name]["unlabelled"] = "skip"


def _forget(table: dict[str, Any], removed: Set[str]) -> None:
    """Take out what settings say of tasks that have gone."""
    for options in table.get("methods", {}).values():
        for key, value in options.items():
            if isinstance(value, dict):  # a value for each task
                options[key] = {name: kept for name, kept in value.items() if name not in removed}
    for stage in (table, *table.get("stages", ())):
        if stage.get("training", {}).get("stop_on") in removed:
            del stage["training"]["stop_on"]


def _keep_texts(table: dict[str, Any], before: Mapping[str, Any]) -> None:
    """Keep the files of tasks that have gone, for those that learn from their texts."""
    labelled = {
        name: section for name, section in before.items() if not is_unlabelled(section.get("kind"))
    }
    known = {**labelled, **table.pop("texts", {})}
    needed = [
        source for task in table["tasks"].values()
        if is_unlabelled(task.get("kind")) and task.get("train") is None
        for source in task.get("texts_of") or known
    ]  # fmt: skip
    texts = {
        name: text for name, text in known.items() if name in needed and name not in table["tasks"]
    }
    if texts:
        table["texts"] = texts


def parse_config(table: Mapping[str, Any], where: str = "config", *, strict: bool = True) -> Config:
    """Check a configuration given as a nested mapping.

    Args:
        table: as a file's.
        where: named in messages.
        strict: refuse values of other types, as a number for a text.

    Raises:
        ConfigError: as `load_config`.
    """
    try:
        return Config.model_validate(dict(table), strict=strict)
    except ValidationError as error:
        raise ConfigError(*fault_lines(error, Config, where)) from None


def dump_config(config: Config) -> str:
    """Return a config as TOML text that `load_config` reads as an equal one."""
    return toml(as_table(config))


def as_table(config: Config) -> dict[str, Any]:
    """Return a config as nested mapping, as its file has it."""
    return config.model_dump(mode="json", exclude_none=True, exclude_unset=True)


def toml(table: Mapping[str, Any]) -> str:
    """Return a config's table as TOML text, its tasks last; keys that are None are left out."""
    keys = sorted(table, key=("texts", "tasks").__contains__)
    return tomli_w.dumps(_without_none({key: table[key] for key in keys}), indent=2)


def _without_none(value: Any) -> Any:
    """Return a value without the keys of its tables that are None: TOML has no such thing."""
    if isinstance(value, dict):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    return [_without_none(inner) for inner in value] if isinstance(value, list) else value


def stage_configs(config: Config, where: str = "config") -> list[Config]:
    """Return the config of each stage.

    Raises:
        ConfigError: a key or value that a config can't have, naming the stage.
    """
    return [
        parse_config(
            stage_table(config, index, drop_combining),
            f"{where}: {stage_label(config.stages, index)}",
        )
        for index in range(len(config.stages))
    ]


def resolve_paths(config: Config, folder: Path) -> Config:
    """Return a config whose paths are absolute; relative ones are relative to `folder`."""

    def absolute(path: str) -> str:
        return str((folder / Path(path).expanduser()).absolute())

    def moved(task: AnyTaskConfig) -> AnyTaskConfig:
        changes: dict[str, str | list[str]] = {}
        for split in ("train", "dev", "test"):
            value = getattr(task, split, None)
            if value is not None:
                changes[split] = (
                    absolute(value) if isinstance(value, str) else [*map(absolute, value)]
                )
        return task.model_copy(update=changes)

    encoder = config.encoder
    as_folder = Path(absolute(encoder.path))
    # `org/name` may be a hub id; a path that exists, or is spelt as one, is a path.
    if as_folder.exists() or encoder.path.startswith((".", "/", "~")):
        encoder = encoder.model_copy(update={"path": str(as_folder)})
    changes: dict[str, Any] = {"encoder": encoder}
    for section in ("tasks", "texts"):
        if tasks := getattr(config, section):
            changes[section] = {name: moved(task) for name, task in tasks.items()}
    return config.model_copy(update=changes).leaves_out_what_others_label()
