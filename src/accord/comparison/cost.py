"""What it costs to answer all tasks with a shared model, and with one model per task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from accord.comparison.group import Group
from accord.comparison.sharing import SharingVerdict, uncompared
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
    """

    models: int
    parameters: int
    model_bytes: int
    encoder_layers: int
    train_seconds: float


@dataclass(frozen=True)
class SharedModel:
    """What a shared model costs, and what a model for each of its tasks does.

    Attributes:
        name: of its group.
        alone: of a model for each task.
        together: of the shared model.
        layers: of the encoder that the shared model computes, by kind of input.
        uncompared: its tasks that no verdict is of; `alone` is without them.
    """

    name: str
    alone: Cost
    together: Cost
    layers: LayersComputed
    uncompared: tuple[str, ...] = ()


def shared_models(verdicts: Sequence[SharingVerdict]) -> list[SharedModel]:
    """Return the cost of each shared model and of a model for each of its tasks."""
    shared = {each.model: each.together for each in verdicts}
    return [
        SharedModel(
            name,
            _cost([each.alone for each in verdicts if each.together is group]),
            _cost([group]),
            group.layers_computed,
            tuple(uncompared(group, verdicts)),
        )
        for name, group in shared.items()
    ]


def _cost(groups: Sequence[Group]) -> Cost:
    return Cost(
        models=len(groups),
        parameters=sum(group.parameters for group in groups),
        model_bytes=sum(group.model_bytes for group in groups),
        encoder_layers=sum(group.layers_computed.layers for group in groups),
        train_seconds=sum(group.train_seconds for group in groups),
    )
