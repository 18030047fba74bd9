"""Keys of a config that make no difference: those that its plan didn't read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from accord.config.file import stage_configs
from accord.config.sections import Config
from accord.config.stages import stage_label
from accord.families import FAMILIES
from accord.plan.keys import Keys, as_json, cleared, idle_keys
from accord.plan.resolving import resolve


def effective(config: Config) -> dict[str, Any]:
    """Return a config as JSON without what makes no difference.

    Configs of which these are equal make the same run, whatever chose them.
    """
    return as_json(without_unused(config))


def without_unused(config: Config) -> Config:
    """Return a config without the options of methods that it doesn't choose, all such keys, and a
    memory where no task is finished."""
    return cleared(config, _read(config))


def unused_keys(config: Config) -> dict[str, str]:
    """Return keys, other than methods' options, that make no difference in any stage, and why."""
    return idle_keys(config, _read(config))


def _read(config: Config) -> list[Keys]:
    """Return a config's keys as its stages read them."""
    return [resolve(part)[1] for part in stage_configs(config) or [config]]


def unused_line(config: Config, parts: Sequence[Keys]) -> str:
    """Say which keys and methods' options make no difference, and what was chosen in their place.

    Args:
        config: of a run.
        parts: its keys as its stages read them, or its own.

    Returns:
        One line; empty if all are used. What a stage alone sets is said of the stage.
    """
    keys = idle_keys(config, parts)
    lines = [*_method_lines(config.methods, parts), *_key_lines(keys)]
    for index, (stage, part) in enumerate(zip(config.stages, parts, strict=False)):
        section_keys = {
            key: why for key, why in idle_keys(part.config, [part]).items()
            if key not in keys and key.split(".")[1] in getattr(stage, key.split(".")[0], {})
        }  # fmt: skip
        label = stage_label(config.stages, index)
        lines += [
            f"{label}: {line}"
            for line in (*_method_lines(stage.methods, [part]), *_key_lines(section_keys))
        ]
    return "; ".join(lines)


def _method_lines(given: Collection[str], parts: Sequence[Keys]) -> Iterator[str]:
    for family in FAMILIES:
        names = _names(name for part in parts for name in part.chosen[family.key])
        unused = [method for method in given if method in family.names() and method not in names]
        if unused:
            shown = ", ".join(f"'{name}'" for name in names) or "not set"
            why = f"{family.key} is {shown}"
            if not names:
                why = _names(part.idle.get(family.key, why) for part in parts)[0]
            yield _line([f"[methods.{method}]" for method in unused], why)


def _key_lines(unused: Mapping[str, str]) -> Iterator[str]:
    for why in _names(unused.values()):
        yield _line([key for key, reason in unused.items() if reason == why], why)


def _line(names: Sequence[str], why: str) -> str:
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} not used: {why}"


def _names(names: Iterable[str]) -> tuple[str, ...]:
    """Return each of some names once, in order."""
    return tuple(dict.fromkeys(names))
