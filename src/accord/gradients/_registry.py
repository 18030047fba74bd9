"""What a gradient method is, and how its file registers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

State = dict[str, Tensor]
Combine = Callable[[Tensor, State, torch.Generator], tuple[Tensor, State]]
Law = Literal[
    "sum_without_conflict",  # all cosines >= 0: the weights are all 1
    "permutation",  # renaming the tasks renames the weights (up to visiting order)
    "scale",  # scaling all gradients by c leaves the weights as they are
    "no_conflict_of_two",  # with T = 2 the direction opposes neither task
]


@dataclass(frozen=True)
class Method:
    """A gradient method.

    Attributes:
        name: as the config spells it.
        combine: maps the Gram matrix [T, T] (float64, host) of the tasks present in a step,
            the state restricted to them, and a generator keyed by the step, to weights [T].
        paper: where it comes from.
        laws: what tests may demand of it.
        example: a Gram matrix and the weights it gives, worked by hand.
        initial_state: state for T tasks; every axis of every tensor runs over the tasks.
    """

    name: str
    combine: Combine
    paper: str
    laws: frozenset[Law]
    example: tuple[list[list[float]], list[float]]
    initial_state: Callable[[int], State]


METHODS: dict[str, Method] = {}


def method(
    name: str,
    *,
    paper: str,
    laws: tuple[Law, ...],
    example: tuple[list[list[float]], list[float]],
    initial_state: Callable[[int], State] = lambda tasks: {},
) -> Callable[[Combine], Combine]:
    """Register a gradient method."""

    def register(combine: Combine) -> Combine:
        METHODS[name] = Method(name, combine, paper, frozenset(laws), example, initial_state)
        return combine

    return register


def step_weights(
    method: Method, gramian: Tensor, state: State, present: tuple[int, ...], key: tuple[int, int]
) -> tuple[Tensor, State]:
    """Apply a method to the tasks present in a step; the state of the others stays.

    Args:
        method: to apply.
        gramian: [t, t] of the present tasks.
        state: of all T tasks.
        present: their indices among the T tasks, ascending.
        key: (seed, step), from which the method's generator is made.

    Returns:
        The weights [t], and the state of all T tasks.
    """
    index = torch.tensor(present)
    part = {name: value[torch.meshgrid(*[index] * value.ndim, indexing="ij")]
            for name, value in state.items()}  # fmt: skip
    seed = torch.Generator().manual_seed((key[0] * 0x9E3779B97F4A7C15 + key[1]) % 2**63)
    weights, part = method.combine(gramian, part, seed)
    after = {name: value.clone() for name, value in state.items()}
    for name, value in part.items():
        after[name][torch.meshgrid(*[index] * value.ndim, indexing="ij")] = value
    return weights, after
