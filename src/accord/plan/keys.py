"""A config's keys as a plan reads them: what it doesn't read makes no difference."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel

from accord.config.sections import Config
from accord.families import Family

TRACKED = ("encoder", "training", "sharing", "averaging", "checkpoint", "memory")
"""Sections whose keys are read one by one; of the others all keys make a difference."""


class Keys:
    """The keys of a config without stages, and which of them were read.

    Args:
        config: whose they are.

    Attributes:
        idle: keys that make no difference, as their values were not read, and why.
        options: of the methods that are used, by name.
        chosen: the names of these methods, by the key that chooses them.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.read: set[str] = set()
        self.idle: dict[str, str] = {}
        self.options: dict[str, dict[str, Any]] = {}
        self.chosen: dict[str, tuple[str, ...]] = {}

    def __call__(self, key: str, idle: str = "") -> Any:
        """Read a key.

        Args:
            key: as `training.lr`.
            idle: why its value makes no difference here; empty where it does.

        Returns:
            Its value; where it makes no difference the key's default, whatever it is set to.
        """
        section, name = key.split(".")
        model = section_model(section)
        if idle:
            self.idle[key] = idle
            return model.model_fields[name].get_default(call_default_factory=True)
        self.read.add(key)
        values = getattr(self.config, section)
        return getattr(model() if values is None else values, name)

    def use(self, family: Family, names: Collection[str]) -> None:
        """Read the options of methods of a family; what is wrong with them is said elsewhere."""
        self.chosen[family.key] = tuple(names)
        for name in names:
            method, given = family.get(name), self.config.methods.get(name, {})
            try:
                self.options[name] = method.check_options(given)
            except ValueError:
                self.options[name] = method.check_options({})


def flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of a nested table, each with its dotted key.

    Example:
        >>> list(flat({"training": {"lr": 1e-5, "clip": {"norm": 1}}, "seeds": [0, 1]}))
        [('training.lr', 1e-05), ('training.clip.norm', 1), ('seeds', [0, 1])]
    """
    for name, value in table.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def section_model(section: str) -> type[BaseModel]:
    """Return the model of a section, as `memory`, which may be missing."""
    annotation: Any = Config.model_fields[section].annotation
    model: type[BaseModel] = next(iter(get_args(annotation)), annotation)
    return model


def is_set(config: Config, key: str) -> bool:
    """Whether a key has a value that is not there by default."""
    section, name = key.split(".")
    values = getattr(config, section)
    return (
        values is not None and name in values.model_fields_set and getattr(values, name) is not None
    )


def cleared(config: Config, parts: Sequence[Keys]) -> Config:
    """Return a config without what is set in it to no effect.

    Args:
        config: of a run.
        parts: its keys as its stages read them, or its own.
    """
    if config.memory is not None and not config.remembers:
        config = config.model_copy(update={"memory": None})
    used = {name for part in parts for name in part.options}
    changes: dict[str, Any] = {}
    if not used.issuperset(config.methods):
        changes["methods"] = {
            name: method for name, method in config.methods.items() if name in used
        }
    for key in idle_keys(config, parts):
        section, name = key.split(".")
        values = changes.get(section) or getattr(config, section)
        changes[section] = type(values).model_validate(
            values.model_dump(exclude_unset=True, exclude={name})
        )
    return config.model_copy(update=changes) if changes else config


def as_json(config: Config) -> dict[str, Any]:
    """Return a config as JSON, without what says only where it is from or how it is evaluated."""
    return config.model_dump(mode="json", exclude={"selection", "comparison", "track"})


def idle_keys(config: Config, parts: Sequence[Keys]) -> dict[str, str]:
    """Return keys, other than methods' options, that make no difference in any part, and why."""
    read = {key for part in parts for key in part.read}
    idle = {key for part in parts for key in part.idle if is_set(config, key)} - read
    return {key: _why(key, parts) for key in dict.fromkeys(k for part in parts for k in part.idle)
            if key in idle}  # fmt: skip


def _why(key: str, parts: Sequence[Keys]) -> str:
    """Say why a key makes no difference in the parts that set it."""
    setting = [part for part in parts if is_set(part.config, key)]
    return ", ".join(dict.fromkeys(part.idle[key] for part in setting or parts))
