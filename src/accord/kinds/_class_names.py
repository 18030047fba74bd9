"""What kinds of task have in common whose classes have names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from accord.data.labels import MOST_LABELS
from accord.errors import ConfigError

if TYPE_CHECKING:
    from accord.data.plan import TaskPlan
    from accord.kinds._context import TrainingLabels


def some_of(names: Sequence[str], most: int) -> str:
    """Return at most so many names, and how many more there are.

    Example:
        >>> some_of(["a", "b", "c"], 2)
        'a, b and 1 more'
    """
    return ", ".join(names[:most]) + f" and {len(names) - most} more" * (len(names) > most)


def refuse_too_many(
    name: str, plan: TaskPlan, training: TrainingLabels, different: int, what: str = "labels"
) -> None:
    """Refuse a training file with more different labels than are taken for classes.

    Raises:
        ConfigError: if they are too many.
    """
    if different > MOST_LABELS:
        raise ConfigError(
            f"tasks.{name}.label: column '{plan.label}' of {training} holds more than {MOST_LABELS}"
            f" different {what}; name them in tasks.{name}.labels if they are"
        )


def numbered(labels: Sequence[str]) -> dict[str, Any]:
    """Return the classes' numbers as a `config.json` of transformers has them."""
    return {
        "id2label": dict(enumerate(labels)),
        "label2id": {name: index for index, name in enumerate(labels)},
    }
