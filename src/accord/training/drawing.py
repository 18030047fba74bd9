"""The sampler of a run: which rows each step draws, and whether every task gets enough rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from accord.data.exact_sampler import ExactSampler
from accord.data.loader import TaskData
from accord.data.rehearsal import RehearsalSampler
from accord.data.sampler import Sampler
from accord.data.sources import Source, shared_rows, sources_of
from accord.errors import ConfigError
from accord.kinds import get_kind, labelled_kind
from accord.plan.run import StagePlan
from accord.sampling import Budget, get_rule

Classes = Mapping[str, Sequence[np.ndarray]]
NO_CLASSES: Classes = MappingProxyType({})


def training_sources(plan: StagePlan, train: Sequence[TaskData]) -> list[Source]:
    """Return the training rows as steps draw them; within a source fixed weights act.

    Args:
        plan: of the run.
        train: the training split of each task.
    """
    weights = fixed_weights(plan)
    named = [weights.get(part.task.name, 1.0) for part in train]
    return sources_of(train, shared_rows(train), named)


def fixed_weights(plan: StagePlan) -> Mapping[str, float]:
    """Return the weights that the config gives tasks' losses; empty where another rule does."""
    return plan.options.get("fixed", {}).get("weights") or {}


def build_sampler(
    plan: StagePlan, names: tuple[str, ...], sizes: tuple[int, ...], classes: Classes = NO_CLASSES
) -> Sampler | RehearsalSampler:
    """Say which rows each step draws.

    Args:
        plan: of the run.
        names: of the sources; a source of one task has the task's name.
        sizes: training rows of each.
        classes: as `balanced_classes` returns them; how many rows are drawn doesn't depend on it.

    Raises:
        ConfigError: if a source that is to be trained on gets none.
    """
    trained = [i for i, name in enumerate(names) if name not in plan.finished]
    current = _current_sampler(
        plan, tuple(names[i] for i in trained), tuple(sizes[i] for i in trained), classes
    )
    _check_every_task_is_drawn(current, plan)
    _check_texts_have_others(current, plan)
    return RehearsalSampler(current, names, sizes) if plan.finished else current


def balanced_classes(plan: StagePlan, train: Sequence[TaskData]) -> Classes:
    """Return, by the names of tasks whose classes come equally often, the rows of each class that
    has any.

    Args:
        plan: of the run.
        train: the training split of each task.
    """
    drawn = {
        part.task.name: labelled_kind(part.task).rows_of_classes(part.task, part.labels)
        for part in train
        if plan.data.tasks[part.task.name].draw == "balanced"
    }
    return {name: [rows for rows in classes if len(rows)] for name, classes in drawn.items()}


def mean_tokens(name: str, lengths: np.ndarray, classes: Classes) -> float:
    """Return how many tokens a row that is drawn has on average.

    Args:
        name: of a source.
        lengths: of its rows, [rows]; not none.
        classes: as `balanced_classes` returns them.
    """
    of_classes = classes.get(name)
    if of_classes is None:
        return float(lengths.mean())
    return float(np.mean([lengths[rows].mean() for rows in of_classes]))


def _current_sampler(
    plan: StagePlan, names: tuple[str, ...], sizes: tuple[int, ...], classes: Classes
) -> Sampler:
    settings = plan.training
    rule = get_rule(settings.batching)
    if settings.examples is not None:
        exact = Budget(settings.batch_size, epochs=settings.epochs)
        return ExactSampler(
            names, sizes, rule, exact, settings.seed, classes=classes, total=settings.examples
        )
    budget = Budget(
        settings.batch_size, epochs=settings.epochs, steps=settings.steps_per_epoch,
        one_task=settings.one_task or rule.orders == ("cyclic",),
    )  # fmt: skip
    options = plan.options[rule.name]
    return Sampler(names, sizes, rule, budget, settings.seed, options, classes)


def _check_every_task_is_drawn(sampler: Sampler, plan: StagePlan) -> None:
    """Check that no head stays as it was drawn.

    Raises:
        ConfigError: naming the task.
    """
    for name, count in zip(sampler.names, sampler.examples(plan.training.epochs), strict=True):
        if count == 0:
            raise ConfigError(
                f"training.batching: '{sampler.rule.name}' draws no example of '{name}' in"
                f" {plan.training.epochs * sampler.steps} steps; more steps, a larger batch_size"
                " or another rule would"
            )


def _check_texts_have_others(sampler: Sampler, plan: StagePlan) -> None:
    """Check that a task that compares a text with the others in its step has others.

    Raises:
        ConfigError: naming the task.
    """
    tasks = plan.data.tasks
    kinds = {name: tasks[name].kind for name in sampler.names if name in tasks}
    compared = {name for name, kind in kinds.items() if get_kind(kind).compares_examples}
    if not compared or sampler.budget.one_task:
        return
    exact = plan.training.examples is not None
    drawing = "training.examples" if exact else f"batching '{sampler.rule.name}'"
    for epoch in range(plan.training.epochs if sampler.rule.varies else 1):
        for name, share in zip(sampler.names, sampler.shape(epoch).shares, strict=True):
            if name in compared and share < 2:
                raise ConfigError(
                    f"tasks.{name}.kind: '{kinds[name]}' compares a text with the others in its"
                    f" step, but {drawing} draws {share:.3g} of them in a step; a larger batch_size"
                    " or another rule would draw more"
                )
