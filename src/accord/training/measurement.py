"""What a step measures: on the device first, and then on the host."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Parameter

from accord.pertask.step import Step


@dataclass(frozen=True)
class Measurement:
    """What a step's passes give; nothing has been changed yet.

    Attributes:
        losses: each present task's mean loss, unweighted, float64 [h].
        gramians: of the shared gradients of the sources' losses, for each group of parameters,
            float64 [groups, t, t]; [groups, 1, 1] of their sum where one gradient was collected for
            all, [0, t, t] where the encoder is frozen.
        head_norms: of the gradient of what each task has of its own, float64 [h].
        shared: the shared gradients themselves; all else is on the host.
        kept: whether gradients stand in a recording's memory.
    """

    losses: Tensor
    gramians: Tensor
    head_norms: Tensor
    shared: Step
    kept: bool = False

    @property
    def is_finite(self) -> bool:
        """Whether all of it is."""
        parts = (self.losses, self.gramians, self.head_norms)
        return all(bool(part.isfinite().all()) for part in parts)


@dataclass(frozen=True)
class Passed:
    """What a step's passes leave on the device.

    Attributes:
        numbers: float64, the losses [h], the norms of own gradients, and the Gram matrices.
        gramians: the shape of the latter.
        owned: how many parameters of its own each present task has that have a gradient.
        gradients: these parameters, task by task, and theirs.
        shared: the shared gradients.
        kept: whether all this is a recording's.
    """

    numbers: Tensor
    gramians: tuple[int, ...]
    owned: tuple[int, ...]
    gradients: Sequence[tuple[Parameter, Tensor | None]]
    shared: Step
    kept: bool = False

    def tensors(self) -> list[Tensor]:
        """Return what it holds, J's matrix left out: that is there whatever was recorded."""
        gradients = [gradient for _, gradient in self.gradients if gradient is not None]
        return [self.numbers, *gradients, *self.shared.tensors()]

    def restore(self) -> None:
        """Put gradients where they stood when this was recorded."""
        self.shared.again()
        for parameter, gradient in self.gradients:
            parameter.grad = gradient

    def measured(self) -> Measurement:
        """Fetch the numbers: one wait for a GPU."""
        sizes = [len(self.owned), *self.owned, math.prod(self.gramians)]
        means, *by_head, entries = torch.split(self.numbers.cpu(), sizes)
        head_norms = torch.stack([part.norm() for part in by_head])
        return Measurement(means, entries.view(self.gramians), head_norms, self.shared, self.kept)


class NotFinite(Exception):  # noqa: N818 (whoever trains decides whether it is an error)
    """A step that was not taken, as a loss or gradient is not finite: nothing was updated.

    Attributes:
        step: its number, counted from 0.
        measured: what was measured.
        norm: of all gradients, before clipping; NaN where it was not asked for.
    """

    def __init__(self, step: int, measured: Measurement, norm: float = math.nan) -> None:
        super().__init__(f"step {step + 1}: a loss or gradient is not finite")
        self.step, self.measured, self.norm = step, measured, norm
