"""Rare classes: what a task may say of its classes' weights in the loss, and what they come to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, Literal

from accord.errors import ConfigError, nearest
from accord.spelling import canonical_label

if TYPE_CHECKING:
    from accord.tasks import Task

BALANCED = "balanced"
ClassWeights = Literal["balanced"] | Mapping[str, float] | None


def weight_faults(given: ClassWeights) -> Iterator[str]:
    """Yield what is wrong with `class_weights`, whatever the labels are."""
    if not isinstance(given, Mapping):
        return
    names = [canonical_label(label) for label in given]
    if not names or len(set(names)) < len(names):
        yield f"class_weights: takes a weight for one class or more, each once, got {given}"
    for label, weight in given.items():
        if not 0 < weight < inf:
            yield f"class_weights: takes weights above 0, got {weight:g} for '{label}'"


def weights_of(name: str, given: ClassWeights, labels: Sequence[str]) -> tuple[float, ...]:
    """Return the weight of each class by a table: 1 of those that it doesn't name.

    Args:
        name: the task's, for messages.
        given: canonically spelt; nothing comes of 'balanced' before there are training rows.
        labels: the classes.

    Raises:
        ConfigError: if the table names a class that there isn't.
    """
    if not isinstance(given, Mapping):
        return ()
    spelt = [canonical_label(label) for label in labels]  # names of columns stand as they are
    for label in given:
        if label not in spelt:
            hint = nearest(label, labels)
            raise ConfigError(f"tasks.{name}.class_weights: no label is '{label}'{hint}")
    return tuple(float(given.get(label, 1.0)) for label in spelt)


def balanced_weights(name: str, labels: Sequence[str], rows: Sequence[int]) -> tuple[float, ...]:
    """Return n / (K n_c) for each class: over the training rows their mean is 1.

    *Source:* King & Zeng 2001, Logistic regression in rare events data, in the form that
    scikit-learn calls 'balanced'.

    Args:
        name: the task's, for messages.
        labels: the K classes.
        rows: n_c, the training rows of each.

    Raises:
        ConfigError: naming a class without a training row.

    Example:
        >>> balanced_weights("t", ["ok", "fraud"], [6, 2])
        (0.6666666666666666, 2.0)
    """
    _require(name, labels, rows, "has none", "take it out of 'labels', give train such rows")
    return tuple(sum(rows) / (len(rows) * count) for count in rows)


def balanced_positives(
    name: str, labels: Sequence[str], rows: Sequence[int], total: int
) -> tuple[float, ...]:
    """Return (n - n_l) / n_l for each label of which a row has any number: the rows that haven't
    got it count as much as those that have.

    *Source:* torch's `BCEWithLogitsLoss`, whose `pos_weight` it is.

    Args:
        name: the task's, for messages.
        labels: the labels.
        rows: n_l, the training rows that have each.
        total: n, all training rows.

    Raises:
        ConfigError: naming a label that no training row has, or that all have.

    Example:
        >>> balanced_positives("t", ["rare", "frequent"], [2, 6], 8)
        (3.0, 0.3333333333333333)
    """
    _require(name, labels, rows, "has none", "take it out of 'labels', give train such rows")
    without = [total - count for count in rows]
    _require(name, labels, without, "stands in all of them", "give train rows without it")
    return tuple(no / yes for no, yes in zip(without, rows, strict=True))


def _require(name: str, labels: Sequence[str], rows: Sequence[int], what: str, cure: str) -> None:
    """Refuse to balance where a class lacks rows.

    Raises:
        ConfigError: naming the first such class.
    """
    if missing := [label for label, count in zip(labels, rows, strict=True) if not count]:
        more = f" and {len(missing) - 1} more" * (len(missing) > 1)
        raise ConfigError(
            f"tasks.{name}.class_weights: 'balanced' goes by each class's training rows, but"
            f" '{missing[0]}'{more} {what}; {cure}, or set a table of weights"
        )


def loss_words(task: Task, most: int) -> str:
    """Say what a task's training minimises, with the weights of at most so many classes.

    Example:
        >>> from accord.tasks import Task
        >>> task = Task("t", "classification", "cross_entropy", "accuracy", ("ok", "fraud"),
        ...             class_weights=(2 / 3, 2.0), label_smoothing=0.1)
        >>> loss_words(task, 8)
        'cross_entropy smoothed by 0.1, weighted ok 0.667, fraud 2'
    """
    smoothed = f" smoothed by {task.label_smoothing:g}" if task.label_smoothing else ""
    if not task.class_weights:
        return f"{task.loss}{smoothed}"
    pairs = zip(task.labels, task.class_weights, strict=True)
    shown = [f"{label} {weight:.3g}" for label, weight in pairs][:most]
    more = ", …" * (len(task.labels) > most)
    return f"{task.loss}{smoothed}, weighted {', '.join(shown)}{more}"


def task_weight_faults(task: Task) -> Iterator[str]:
    """Yield what can't be about the weights of a task that a stranger describes."""
    weights = task.class_weights
    if weights and len(weights) != len(task.labels):
        yield f"class_weights are {len(weights)} for {len(task.labels)} labels"
    if not all(isinstance(weight, int | float) and 0 < weight < inf for weight in weights):
        yield f"class_weights are {list(weights)[:5]}"
