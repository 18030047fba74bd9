"""Which runs of a task alone a shared model is to be compared with, and in what they differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from accord.comparison.group import Group
from accord.config.file import reduced
from accord.config.sections import Config
from accord.config.unused import effective
from accord.report.exposure import EXPOSURE_KEYS, exposure_distance

_INDIFFERENT = (
    "training.seed", "training.halves_every", "training.gramian", "training.threads",
    "training.device", "score",
)  # fmt: skip


def nearest_alone(
    task: str, together: Group, alone: Sequence[Group]
) -> tuple[Group | None, tuple[str, ...]]:
    """Choose the group of a task alone whose settings differ least from a shared model's.

    Keys that say how much of a task is shown (`EXPOSURE_KEYS`) differ only where it is not shown
    as much of it on both sides.

    Args:
        task: its name.
        together: the shared model's group.
        alone: groups that were trained on the task alone.

    Returns:
        The group and the keys in which it differs; None where there is none, or where several are
        equally near and none has the same settings.
    """
    config = together.runs[0].config
    wanted = dict(_settings(reduced(config, {task: config.tasks[task]})))
    differing: list[tuple[str, ...]] = []
    ranks: list[tuple[int, float]] = []
    for group in alone:
        given = dict(_settings(group.runs[0].config))
        distance = exposure_distance(group, together, task)
        alike = EXPOSURE_KEYS if distance == 0 else ()
        keys = [key for key in {**wanted, **given} if not key.endswith(alike)]
        differing.append(tuple(key for key in keys if given.get(key) != wanted.get(key)))
        ranks.append((len(differing[-1]), distance))
    if not ranks or (min(ranks)[0] > 0 and ranks.count(min(ranks)) > 1):
        return None, ()
    nearest = ranks.index(min(ranks))
    return alone[nearest], differing[nearest]


def _settings(config: Config) -> Iterator[tuple[str, object]]:
    """Yield what may make a difference to a task alone, key by key."""

    def flat(table: dict[str, object], prefix: str) -> Iterator[tuple[str, object]]:
        for key, value in table.items():
            if isinstance(value, dict):
                yield from flat(value, f"{prefix}{key}.")
            elif f"{prefix}{key}" not in _INDIFFERENT:
                yield f"{prefix}{key}", value

    table = effective(config)
    table.pop("checkpoint")
    alone = {*config.sharing.schemes, *config.training.regularisers}
    table["methods"] = {name: own for name, own in table["methods"].items() if name in alone}
    for number, stage in enumerate(table["stages"], 1):
        for key in EXPOSURE_KEYS:
            name = key.removeprefix("training.")
            if name in stage["training"]:
                yield f"stages.{number}.{key}", stage["training"].pop(name)
    yield from flat(table, "")
