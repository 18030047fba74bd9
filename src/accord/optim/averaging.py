"""Averages of the weights over steps, which are evaluated and saved instead of the weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import Parameter


@dataclass
class Averages:
    """Moving averages of all trained parameters; training itself doesn't see them.

    EMA: a ← d_t a + (1 − d_t) θ at every step, d_t = min(decay, (1 + t)/(10 + t)). SWA: the mean of
    θ at every `every`-th step from step `start` on; before it the weights are their own average.

    *Source:* Polyak & Juditsky 1992; Izmailov et al. 2018, Averaging Weights Leads to Wider Optima
    and Better Generalization, algorithm 1. The rising decay is TensorFlow's
    `ExponentialMovingAverage`'s.

    Attributes:
        named: the parameters.
        decay: of EMA; None is SWA.
        start: first step, counted from 1, after which SWA averages.
        every: steps between SWA's samples.
        values: the averages, in the parameters' order.
        count: samples that SWA has taken.
    """

    named: list[tuple[str, Parameter]]
    decay: float | None = None
    start: int = 1
    every: int = 1
    values: list[Tensor] = field(default_factory=list)
    count: int = 0

    def __post_init__(self) -> None:
        if not self.values:
            self.values = [parameter.detach().clone() for _, parameter in self.named]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take a step's weights in.

        Args:
            step: steps taken so far, this one among them.
        """
        now = [parameter.detach() for _, parameter in self.named]
        if self.decay is not None:
            decay = min(self.decay, (1 + step) / (10 + step))
            torch._foreach_lerp_(self.values, now, 1 - decay)
        elif step < self.start:
            torch._foreach_copy_(self.values, now)
        elif (step - self.start) % self.every == 0:
            self.count += 1
            torch._foreach_lerp_(self.values, now, 1 / self.count)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the model have the averages for weights inside a `with` block."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for i, (_, parameter) in enumerate(self.named):
            parameter.data, self.values[i] = self.values[i], parameter.data

    def tensors(self) -> dict[str, Tensor]:
        """Return what a checkpoint has to hold."""
        pairs = zip(self.named, self.values, strict=True)
        return {
            "count": torch.tensor(self.count),
            **{name: value.detach() for (name, _), value in pairs},
        }

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take over what a checkpoint held.

        Raises:
            KeyError: if a tensor is missing.
        """
        self.count = int(tensors["count"])
        for (name, _), value in zip(self.named, self.values, strict=True):
            value.copy_(tensors[name])


def trained(named: Iterable[tuple[str, Parameter]]) -> list[tuple[str, Parameter]]:
    """Return the parameters that are trained."""
    return [pair for pair in named if pair[1].requires_grad]
