"""A method as a run uses it: options, states, draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic

import torch
from torch import Tensor

from accord.methods.registry import Entry
from accord.methods.signals import Signals, State


@dataclass
class Chosen(Generic[Entry]):
    """A method as a run uses it: its options, and its state for each group of parameters.

    Attributes:
        method: of the registry.
        options: as the config gives them.
        states: one per group of parameters that is weighted separately; mostly one.
    """

    method: Entry
    options: dict[str, Any] = field(default_factory=dict)
    states: list[State] = field(default_factory=list)

    @classmethod
    def of(
        cls, method: Entry, tasks: int, options: Mapping[str, Any] | None = None, groups: int = 1
    ) -> Chosen[Entry]:
        """Choose a method, with its initial state."""
        return cls(
            method, dict(options or {}), [method.initial_state(tasks) for _ in range(groups)]
        )

    def weigh(
        self,
        signals: Sequence[Signals],
        present: tuple[int, ...],
        key: tuple[int, int],
        place: int = 0,
    ) -> tuple[Tensor, list[State]]:
        """Apply the method to the tasks present in a step; the state of the others stays.

        Nothing is changed here: a step that is left out keeps the states as they were.

        Args:
            signals: of the present tasks, for each group.
            present: their indices among all T tasks, ascending.
            key: (seed, step), from which each group's generator is made.
            place: of the first group's draws among a step's.

        Returns:
            The weights [groups, t], and the states after it.
        """
        index = torch.tensor(present)
        weights, states = [], []
        for group, (signal, state) in enumerate(zip(signals, self.states, strict=True)):
            generator = keyed_generator(*key, place + group)
            weights_of_layer, part = self.method.function(
                signal, restricted(state, index), generator, **self.options
            )
            weights.append(weights_of_layer)
            states.append(replaced(state, index, part))
        return torch.stack(weights), states

    def learn(self, before: Tensor, after: Tensor, present: tuple[int, ...]) -> None:
        """Let the method's `learn` change its state by a step's effect on the present tasks."""
        learn, index = getattr(self.method, "learn", None), torch.tensor(present)
        if learn is not None:
            self.states = [
                replaced(
                    state, index, learn(before, after, restricted(state, index), **self.options)
                )
                for state in self.states
            ]

    def tensors(self) -> State:
        """Return all states as one table."""
        return {
            f"{i}.{name}": v for i, state in enumerate(self.states) for name, v in state.items()
        }

    def load(self, tensors: State) -> None:
        """Take over all states from such a table.

        Raises:
            ValueError: if it is another method's.
        """
        saved = self.tensors()
        if saved.keys() != tensors.keys() or any(saved[n].shape != tensors[n].shape for n in saved):
            raise ValueError(f"holds no state of '{self.method.name}'")
        self.states = [
            {name: tensors[f"{i}.{name}"] for name in state} for i, state in enumerate(self.states)
        ]


def restricted(state: State, index: Tensor) -> State:
    """Return a state's part for some of the tasks."""
    return {
        name: value[torch.meshgrid(*[index] * value.ndim, indexing="ij")]
        for name, value in state.items()
    }


def replaced(state: State, index: Tensor, part: State) -> State:
    """Return a state with the part for some of the tasks replaced."""
    after = {name: value.clone() for name, value in state.items()}
    for name, value in part.items():
        after[name][torch.meshgrid(*[index] * value.ndim, indexing="ij")] = value
    return after


def keyed_generator(seed: int, step: int, place: int = 0) -> torch.Generator:
    """Return the generator of a step's draws: a function of its arguments, so it has no state."""
    key = seed * 0x9E3779B97F4A7C15 + step + place * 0xD1B54A32D192ED03
    return torch.Generator().manual_seed(key % 2**63)
