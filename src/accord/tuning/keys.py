"""The keys that a study may search: none that changes what trials are evaluated by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accord.config.file import parse_config
from accord.config.sections import SelectionConfig
from accord.errors import ConfigError
from accord.grids.cells import applied
from accord.grids.file import setting_key
from accord.kinds import is_unlabelled
from accord.plan.making import plan_run

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
    name, _, key_of_task = rest.partition(".")
    tasks = base.get("tasks", {})
    if section != "tasks" or not key_of_task:
        return ""
    unlabelled = [one for one, table in tasks.items() if is_unlabelled(table.get("kind"))]
    if name in unlabelled and len(unlabelled) < len(tasks):
        return ""  # it is not evaluated, as there are labelled ones
    if key_of_task == "train" and "dev" not in tasks[name]:
        return "trials are evaluated on a share of it; with a dev file it can be"
    return _NOT_OF_TASKS.get(key_of_task, "")


def takes_fractions(key: str, low: int, high: int, base: Mapping[str, Any]) -> bool:
    """Whether a key takes any number between two whole ones, and not whole ones alone.

    Example:
        >>> task = {"kind": "classification", "text": "text"}
        >>> base = {"encoder": {"path": "bert"}, "tasks": {"sst": task}}
        >>> [takes_fractions(f"training.{key}", 1, 3, base) for key in ("clip", "epochs")]
        [True, False]
    """

    def faults(value: float) -> int:
        try:
            plan_run(parse_config(applied(base, {key: value}, "base")), files=False)
        except ConfigError as error:
            return len(error.args)
        return 0

    return faults(low + 0.5) <= min(faults(low), faults(high))
