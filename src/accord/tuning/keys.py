"""The keys that a study may search: none that changes what trials are evaluated by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from accord.config.sections import Config, SelectionConfig
from accord.errors import ConfigError
from accord.families import FAMILIES
from accord.grids.file import setting_key
from accord.kinds import all_kinds, is_unlabelled

_OTHER_ROWS = "it changes which rows trials are evaluated on"
_OTHER_SCORE = "it changes what trials are evaluated by"
_NOT_SEARCHED = {
    "tasks": "scores of different tasks can't be compared",
    "score": "it is what trials are evaluated by",
    **dict.fromkeys(
        (f"selection.{key}" for key in SelectionConfig.model_fields), "it changes nothing in a run"
    ),
    "training.seed": "a seed is no setting; --seeds averages over several",
    "training.dev_share": _OTHER_ROWS,
}
_NOT_OF_TASKS = {
    **dict.fromkeys(("dev", "limit", "on_bad_row", "missing", "texts_of"), _OTHER_ROWS),
    **dict.fromkeys(("kind", "label", "labels", "range", "metric", "mask_share"), _OTHER_SCORE),
}


def searched_key(where: str, name: str, base: Mapping[str, Any]) -> str:
    """Return the key that is searched by a name.

    Args:
        where: named in messages.
        name: a dotted key, or one of the grids' short names.
        base: the config as nested mapping.

    Raises:
        ConfigError: if there is no such key, or scores of its values can't be compared.
    """
    key = setting_key(where, name, base)
    why = _NOT_SEARCHED.get(key) or _why_not_of_task(key, base)
    if why:
        raise ConfigError(f"{where}: '{name}' can't be searched: {why}")
    return key


def _why_not_of_task(key: str, base: Mapping[str, Any]) -> str:
    section, _, rest = key.partition(".")
    name, _, own = rest.partition(".")
    tasks = base.get("tasks", {})
    if section != "tasks" or not own:
        return ""
    unlabelled = [one for one, table in tasks.items() if is_unlabelled(table.get("kind"))]
    if name in unlabelled and len(unlabelled) < len(tasks):
        return ""  # it is not evaluated, as there are labelled ones
    if own == "train" and "dev" not in tasks[name]:
        return "trials are evaluated on a share of it; with a dev file it can be"
    return _NOT_OF_TASKS.get(own, "")


def takes_fractions(key: str) -> bool:
    """Whether a key takes any number, and not whole ones alone.

    Example:
        >>> takes_fractions("training.clip"), takes_fractions("training.epochs")
        (True, False)
    """
    return float in _leaves(_annotations(key.split(".")))


def _annotations(parts: list[str]) -> tuple[Any, ...]:
    """Return what a key may be, by the config's types or the method's options."""
    match parts:
        case ["stages", _, *inner]:
            return _annotations(inner)
        case ["methods", name, option, *_]:
            own = [family.get(name).options for family in FAMILIES if name in family.names()]
            fields = [model.model_fields.get(option) for model in own]
        case ["tasks" | "texts", _, key, *_]:
            fields = [own.section.model_fields.get(key) for own in all_kinds()]
        case [section, key, *_] if section in Config.model_fields:
            models = _leaves((Config.model_fields[section].annotation,))
            fields = [
                model.model_fields.get(key) for model in models if hasattr(model, "model_fields")
            ]
        case _:
            return ()
    return tuple(field.annotation for field in fields if field is not None)


def _leaves(annotations: tuple[Any, ...]) -> Iterator[Any]:
    """Yield the types that unions and tables are made of."""
    for own in annotations:
        inner = get_args(own)
        yield from _leaves(inner) if inner else (own,)
