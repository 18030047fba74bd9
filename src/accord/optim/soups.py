"""Greedy soups: several models' weights averaged, as long as the average is as good as before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor


class Judged(Protocol):
    """How good a model is; more is better."""

    @property
    def sum(self) -> float:
        """The sum of its metrics."""


J = TypeVar("J", bound=Judged)


@dataclass(frozen=True)
class Soup(Generic[J]):
    """An average of some of the models.

    Attributes:
        members: indices of the models in it, in the order in which they were added.
        weights: θ, their average.
        judged: how good it is.
    """

    members: tuple[int, ...]
    weights: list[Tensor]
    judged: J


def greedy_soup(
    alone: Sequence[J],
    weights_of: Callable[[int], list[Tensor]],
    judge: Callable[[list[Tensor]], J | None],
) -> Soup[J]:
    """Average the best model with each of the others that doesn't make the average worse.

    From the best model to the worst, model i joins the k that are in the soup if
    θ' = (k θ + θ_i)/(k + 1) is judged at least as good as θ. So the soup is never judged worse than
    the best model. Two sets of weights are held at a time.

    *Source:* Wortsman et al. 2022, Model soups: averaging weights of multiple fine-tuned models
    improves accuracy without increasing inference time, recipe 1.

    Args:
        alone: how good each model is by itself; of equals the first comes first.
        weights_of: loads a model's weights, which are changed here.
        judge: says how good weights are; None for those that give no numbers.

    Returns:
        The soup; of one member where no other fits.

    Example:
        >>> from types import SimpleNamespace
        >>> models = [torch.tensor([own]) for own in (0.0, 4.0, 9.0)]
        >>> judge = lambda own: SimpleNamespace(sum=-abs(float(own[0]) - 2.5))
        >>> alone = [judge([own]) for own in models]
        >>> soup = greedy_soup(alone, lambda i: [models[i].clone()], judge)
        >>> soup.members, soup.weights
        ((1, 0), [tensor([2.])])
    """
    first, *others = sorted(range(len(alone)), key=lambda i: -alone[i].sum)
    soup = Soup((first,), weights_of(first), alone[first])
    for i in others:
        weights, count = weights_of(i), len(soup.members)
        torch._foreach_lerp_(weights, soup.weights, count / (count + 1))
        judged = judge(weights)
        if judged is not None and judged.sum >= soup.judged.sum:
            soup = Soup((*soup.members, i), weights, judged)
    return soup
