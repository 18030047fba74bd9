"""Greedy soups: several models' weights averaged, as long as the average is as good as before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor


class Evaluated(Protocol):
    """How good a model is; more is better."""

    @property
    def sum(self) -> float:
        """The sum of its metrics."""


E = TypeVar("E", bound=Evaluated)


@dataclass(frozen=True)
class Soup(Generic[E]):
    """An average of some of the models.

    Attributes:
        members: indices of the models in it, in the order in which they were added.
        weights: θ, their average.
        evaluated: how good it is.
    """

    members: tuple[int, ...]
    weights: list[Tensor]
    evaluated: E


def greedy_soup(
    alone: Sequence[E],
    weights_of: Callable[[int], list[Tensor]],
    evaluate: Callable[[list[Tensor]], E | None],
) -> Soup[E]:
    """Average the best model with each of the others that doesn't make the average worse.

    From the best model to the worst, model i joins the k that are in the soup if
    θ' = (k θ + θ_i)/(k + 1) scores at least as well as θ. So the soup never scores worse than the
    best model. Two sets of weights are held at a time.

    *Source:* Wortsman et al. 2022, Model soups: averaging weights of multiple fine-tuned models
    improves accuracy without increasing inference time, recipe 1.

    Args:
        alone: how good each model is by itself; of equals the first comes first.
        weights_of: loads a model's weights, which are changed here.
        evaluate: says how good weights are; None for those that give no numbers.

    Returns:
        The soup; of one member where no other fits.

    Example:
        >>> from types import SimpleNamespace
        >>> models = [torch.tensor([weights]) for weights in (0.0, 4.0, 9.0)]
        >>> evaluate = lambda weights: SimpleNamespace(sum=-abs(float(weights[0]) - 2.5))
        >>> alone = [evaluate([weights]) for weights in models]
        >>> soup = greedy_soup(alone, lambda i: [models[i].clone()], evaluate)
        >>> soup.members, soup.weights
        ((1, 0), [tensor([2.])])
    """
    first, *others = sorted(range(len(alone)), key=lambda i: -alone[i].sum)
    soup = Soup((first,), weights_of(first), alone[first])
    for i in others:
        weights, count = weights_of(i), len(soup.members)
        torch._foreach_lerp_(weights, soup.weights, count / (count + 1))
        evaluated = evaluate(weights)
        if evaluated is not None and evaluated.sum >= soup.evaluated.sum:
            soup = Soup((*soup.members, i), weights, evaluated)
    return soup
