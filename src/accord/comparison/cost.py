"""What it costs to answer all tasks with a shared model, and with one model per task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from accord.comparison.family import Comparison
from accord.comparison.group import Group
from accord.comparison.sharing import uncompared
from accord.errors import AccordError
from accord.evaluation.answer_seconds import AnswerSeconds, measure_answers
from accord.model.layers_computed import LayersComputed


@dataclass(frozen=True)
class Cost:
    """What it takes to answer all tasks one way.

    Attributes:
        models: how many.
        parameters: of all of them.
        model_bytes: on disk.
        encoder_layers: that are computed for an answer to all tasks
            (`accord.model.layers_computed`).
        train_seconds: of all of them.
        answer_seconds: for the answers to all tasks, per 1,000 rows of each kind of input; None
            where it was not measured.
    """

    models: int
    parameters: int
    model_bytes: int
    encoder_layers: int
    train_seconds: float
    answer_seconds: float | None = None


@dataclass(frozen=True)
class SharedModel:
    """What a shared model costs, and what a model for each of its tasks does.

    Attributes:
        name: of its group.
        alone: of a model for each task.
        together: of the shared model.
        layers: of the encoder that the shared model computes, by kind of input.
        uncompared: its tasks that no verdict is of; `alone` is without them.
        answering: how long answers of both take; None where it was not measured.
    """

    name: str
    alone: Cost
    together: Cost
    layers: LayersComputed
    uncompared: tuple[str, ...] = ()
    answering: AnswerSeconds | None = None


def shared_models(comparison: Comparison) -> list[SharedModel]:
    """Return the cost of each shared model and of a model for each of its tasks."""
    verdicts = comparison.sharing
    models = []
    for name, group in {each.model: each.together for each in verdicts}.items():
        alone = _cost([each.alone for each in verdicts if each.together is group])
        together, measured = _cost([group]), comparison.answering.get(name)
        if measured is not None:
            alone = replace(alone, answer_seconds=measured.alone)
            together = replace(together, answer_seconds=measured.together)
        left_out = tuple(uncompared(group, verdicts))
        layers = group.layers_computed
        models.append(SharedModel(name, alone, together, layers, left_out, measured))
    return models


def with_answer_seconds(comparison: Comparison, say: Callable[[str], object]) -> Comparison:
    """Measure how long answers of each shared model take, and those of its tasks' models.

    Args:
        comparison: of runs in their folders; of each group the first one answers.
        say: told what is measured, and what can't be.
    """
    answering = {}
    for model in shared_models(comparison):
        pairs = [each for each in comparison.sharing if each.model == model.name]
        say(f"measuring how long answers take: {model.name}, and its tasks alone")
        try:
            answering[model.name] = measure_answers(
                pairs[0].together.model, model.layers.inputs,
                {each.task: each.alone.model for each in pairs},
            )  # fmt: skip
        except AccordError as error:
            say(f"{model.name}: how long answers take can't be measured: {error}")
    return replace(comparison, answering=answering)


def _cost(groups: Sequence[Group]) -> Cost:
    return Cost(
        models=len(groups),
        parameters=sum(group.parameters for group in groups),
        model_bytes=sum(group.model_bytes for group in groups),
        encoder_layers=sum(group.layers_computed.layers for group in groups),
        train_seconds=sum(group.train_seconds for group in groups),
    )
