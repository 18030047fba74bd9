"""Encoder layers computed for an answer to all tasks: what sharing saves where texts are answered.

Each distinct sequence of an input is encoded once up to the first layer from which on tasks differ,
and from there on once for all tasks that are alike. A layer counts 1, whatever stands beside it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from accord.encoders.pretrained import read_config
from accord.errors import ModelError
from accord.kinds import kind_of
from accord.model.parts import Sharing
from accord.model.saved import DESCRIPTION, read_sharing, read_tasks
from accord.sharing import get_scheme
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
        parts = [
            f"{each.layers:.1f} for a {each.input} ({', '.join(each.tasks)})"
            for each in self.inputs
        ]
        return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)

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


def layers_computed(sharing: Sharing, tasks: Sequence[Task], layers: int) -> LayersComputed:
    """Return how many layers of the encoder an answer to all tasks takes.

    Args:
        sharing: what of the encoder tasks have of their own.
        tasks: of the model; those without labels have no answer.
        layers: of the encoder.

    Raises:
        ValueError: an option that a scheme can't have.
    """
    parted = {
        name: get_scheme(name).differs_from(layers, sharing.options.get(name, {}))
        for name in sharing.schemes
    }
    shared = {  # of each task, the layers before the first in which it has parts
        task.name: max(
            0, min((parted[name] - 1 for name in sharing.of_task(number).schemes), default=layers)
        )
        for number, task in enumerate(tasks)
    }
    inputs: dict[str, list[Task]] = {}
    for task in tasks:
        if task.labelled:
            inputs.setdefault(_input(task), []).append(task)
    return LayersComputed(
        layers,
        tuple(
            InputLayers(
                name,
                tuple(task.name for task in members),
                sum(_layers(readers, shared, layers) for readers in _readers(members)),
                sum(task.sequences for task in members) * layers,
            )
            for name, members in inputs.items()
        ),
    )


def layers_of_folder(folder: Path) -> LayersComputed:
    """Return `layers_computed` of a single model's folder, of which no weights are read.

    Raises:
        ModelError, EncoderError: if it can't be read.
    """
    tasks, _, _ = read_tasks(folder)
    try:
        return layers_computed(read_sharing(folder), tasks, read_config(folder).num_hidden_layers)
    except ValueError as error:
        raise ModelError(f"{folder / DESCRIPTION}: sharing: {error}") from None


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


def _layers(readers: Sequence[Task], shared: Mapping[str, int], layers: int) -> int:
    """Return the layers computed of one sequence for tasks that share so many of the first ones.

    Tasks that share them all still have a last layer of their own where only some see first tokens
    alone: these are computed in products of their own.
    """
    first = [shared[task.name] for task in readers]
    last = {task.sees_cls_only for task in readers if shared[task.name] == layers}
    return sum(layers - each for each in first) + max(first) + (len(last) > 1)


def _input(task: Task) -> str:
    if kind_of(task).varying:
        return CANDIDATE
    return PAIR if task.texts > 1 else TEXT


def _readers(tasks: Sequence[Task]) -> Iterable[list[Task]]:
    """Return for each distinct sequence of an input the tasks that read it.

    Tasks that label words read the same only where they divide a text alike; one that labels none
    reads what the first of them does.
    """
    words = next((key for task in tasks if (key := _words(task)) is not None), None)
    readers: dict[Hashable, list[Task]] = {}
    for task in tasks:
        for texts in task.layout:
            key = (texts, words if _words(task) is None else _words(task))
            readers.setdefault(key, []).append(task)
    return readers.values()


def _words(task: Task) -> Hashable:
    """Return how a task that labels words divides a text into them; None of another."""
    return task.options.get("words") if kind_of(task).units == "words" else None
