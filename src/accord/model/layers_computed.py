"""Encoder layers computed for an answer to all tasks: what sharing saves where texts are answered.

Each distinct sequence of an input is encoded once up to the first layer from which on tasks differ,
and from there on once for all tasks that are alike. A layer counts 1, whatever stands beside it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from accord.encoders.encoder import EncoderConfig
from accord.encoders.pretrained import read_config
from accord.kinds import kind_of
from accord.model.parts import Parts, Sharing
from accord.model.saved import read_sharing, read_tasks
from accord.tasks import Task

TEXT, PAIR, CANDIDATE = "text", "pair", "text with a candidate"


@dataclass(frozen=True)
class InputLayers:
    """What the answers of all tasks of one kind of input take.

    Attributes:
        input: 'text', 'pair', or 'text with a candidate', of which a row may have many.
        tasks: the names of those that read it.
        layers: of the encoder that are computed for the answers of all of them.
        alone: the same, if each of them had a model of its own.
    """

    input: str
    tasks: tuple[str, ...]
    layers: int
    alone: int


@dataclass(frozen=True)
class LayersComputed:
    """What an answer to all tasks takes.

    Attributes:
        encoder: how many layers it has; of an ensemble's members all together.
        inputs: in the order in which tasks first have them.
    """

    encoder: int
    inputs: tuple[InputLayers, ...]

    @property
    def layers(self) -> int:
        """Of all kinds of input together, each encoded once."""
        return sum(each.layers for each in self.inputs)

    @property
    def alone(self) -> int:
        """The same, if each task had a model of its own."""
        return sum(each.alone for each in self.inputs)

    def by_input(self) -> str:
        """Say the figure for each kind of input, with its tasks.

        Example:
            >>> text = InputLayers("text", ("sst",), 6, 6)
            >>> LayersComputed(6, (text, InputLayers("pair", ("quora", "sts"), 12, 12))).by_input()
            '6.0 for a text (sst) and 12.0 for a pair (quora, sts)'
        """
        return " and ".join(
            f"{each.layers:.1f} for a {each.input} ({', '.join(each.tasks)})"
            for each in self.inputs
        )

    def __str__(self) -> str:
        start = f"{self.layers:.1f}: " if len(self.inputs) > 1 else ""
        return (
            f"encoder layers computed for an answer to all tasks: {start}{self.by_input()};"
            f" the encoder has {self.encoder}, and a model for each task computes {self.alone:.1f}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {
            "computed": float(self.layers),
            "alone": float(self.alone),
            "encoder": self.encoder,
            "inputs": {
                each.input: {"tasks": list(each.tasks), "computed": float(each.layers)}
                for each in self.inputs
            },
        }


def layers_computed(parts: Parts | None, tasks: Sequence[Task], layers: int) -> LayersComputed:
    """Return how many layers of the encoder an answer to all tasks takes.

    Args:
        parts: of the tasks; None where they share the whole encoder.
        tasks: in the order of the parts; those without labels have no answer.
        layers: of the encoder.
    """
    inputs: dict[str, list[int]] = {}
    for number, task in enumerate(tasks):
        if task.labelled:
            inputs.setdefault(_input(task), []).append(number)
    return LayersComputed(
        layers,
        tuple(
            InputLayers(
                name,
                tuple(tasks[number].name for number in members),
                sum(
                    _computed(parts, readers, layers)
                    for readers in _readers([(number, tasks[number]) for number in members])
                ),
                sum(tasks[number].sequences for number in members) * layers,
            )
            for name, members in inputs.items()
        ),
    )


def planned_layers(
    config: EncoderConfig, sharing: Sharing, tasks: Sequence[Task]
) -> LayersComputed:
    """Return `layers_computed` of a model that is not made yet: no memory is taken for it.

    Raises:
        ValueError: an option that doesn't fit the encoder, naming the scheme.
    """
    with torch.device("meta"):
        parts = Parts(config.new_encoder(), len(tasks), sharing) if sharing.schemes else None
    return layers_computed(parts, tasks, config.num_hidden_layers)


def layers_of_folder(folder: Path) -> LayersComputed:
    """Return `layers_computed` of a single model's folder, of which no weights are read.

    Raises:
        ModelError, EncoderError: if it can't be read.
    """
    tasks, _, _ = read_tasks(folder)
    return planned_layers(read_config(folder), read_sharing(folder), tasks)


def summed(members: Sequence[LayersComputed]) -> LayersComputed:
    """Return what an ensemble takes: the sum over its members, which have the same tasks.

    Args:
        members: the first one's order of inputs and tasks is the sum's.
    """
    by_name = [{each.input: each for each in member.inputs} for member in members]
    return LayersComputed(
        sum(member.encoder for member in members),
        tuple(
            replace(
                first,
                layers=sum(inputs[first.input].layers for inputs in by_name),
                alone=sum(inputs[first.input].alone for inputs in by_name),
            )
            for first in members[0].inputs
        ),
    )


def _input(task: Task) -> str:
    if kind_of(task).varying:
        return CANDIDATE
    return PAIR if task.texts > 1 else TEXT


def _readers(tasks: Sequence[tuple[int, Task]]) -> Iterator[list[int]]:
    """Yield for each distinct sequence of an input the numbers of the tasks that read it.

    Tasks that label words read the same only where they divide a text alike; one that labels none
    reads what the first of them does.
    """
    words = next((key for _, task in tasks if (key := _words(task)) is not None), None)
    sequences: dict[Hashable, list[int]] = {}
    for number, task in tasks:
        key = words if _words(task) is None else _words(task)
        for texts in task.layout:
            sequences.setdefault((texts, key), []).append(number)
    yield from sequences.values()


def _words(task: Task) -> Hashable:
    """Return how a task that labels words divides a text into them; None of another."""
    return task.options.get("words") if kind_of(task).units == "words" else None


def _computed(parts: Parts | None, readers: Sequence[int], layers: int) -> int:
    """Return the layers that a sequence is computed by, for all tasks that read it."""
    if parts is None:
        return layers
    paths = [parts.path(task) for task in readers]
    return sum(len({tuple(path[:end]) for path in paths}) for end in range(2, layers + 2))
