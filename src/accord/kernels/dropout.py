"""Dropout whose masks are a function of (seed, step, pass, site), so nothing about them is state.

A resumed run, a layer recomputed under gradient checkpointing and a step repeated for a
test all draw the masks they drew before, whatever ran in between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

T = TypeVar("T")

_AGAIN = 1 << 30  # more passes than a step has
_LEVELS = 65536  # masks compare 16 random bits with a threshold: a byte could not give 0.1


@dataclass(frozen=True)
class DropoutKey:
    """Names the masks of one pass of one step; `at` names those of one place in the network."""

    seed: int
    step: int
    micro_batch: int = 0
    site: int = 0

    def at(self, site: int) -> DropoutKey:
        """Return the key of one place in the network."""
        return DropoutKey(self.seed, self.step, self.micro_batch, site)

    def again(self) -> DropoutKey:
        """Return the key of the same pass taken once more, with masks of its own."""
        return DropoutKey(self.seed, self.step, self.micro_batch + _AGAIN, self.site)

    def keep_mask(self, shape: torch.Size, p: float, device: torch.device) -> Tensor:
        """Draw which elements stay.

        Args:
            shape: of the mask.
            p: share of elements to drop, in [0, 1); rounded to a multiple of 1/65536.
            device: where the mask is needed.

        Returns:
            A bool tensor, true with probability 1 - p.
        """
        threshold = _dropped_levels(p) - _LEVELS // 2
        if device.type == "cpu":
            bits = np.random.SFC64(self._entropy()).random_raw((shape.numel() + 3) // 4)
            numbers = bits.view(np.int16)[: shape.numel()].reshape(tuple(shape))
            return torch.from_numpy(numbers >= threshold)  # numpy compares seven times as fast
        generator = torch.Generator(device).manual_seed(self.number())
        draws = torch.empty(shape, dtype=torch.int16, device=device)
        draws.random_(-_LEVELS // 2, _LEVELS // 2, generator=generator)
        return draws >= threshold

    def number(self) -> int:
        """Return the key as one number of 63 bits, to seed a generator."""
        return int(self._entropy().generate_state(1, np.uint64)[0] >> 1)

    def _entropy(self) -> np.random.SeedSequence:
        return np.random.SeedSequence([self.seed, self.step, self.micro_batch, self.site])


@dataclass(frozen=True)
class DropoutStream(DropoutKey):
    """Names the masks of a pass that is recorded: they follow each other in one stream of numbers.

    A recording can't seed a generator anew for each mask. So the masks come from the device's
    default generator, which `begin` seeds: they are a function of (seed, step, pass) and of the
    order in which they are drawn.
    """

    def begin(self, device: torch.device) -> None:
        """Start the stream, before the pass or its recording runs."""
        generator = torch.default_generator
        if device.type == "cuda":
            generator = torch.cuda.default_generators[device.index or 0]
        generator.manual_seed(self.number())

    def at(self, site: int) -> DropoutKey:
        """Return the stream itself."""
        return self

    def again(self) -> DropoutKey:
        """Refuse: a recorded pass is taken once."""
        raise RuntimeError("a pass that is recorded is taken once a step")

    def keep_mask(self, shape: torch.Size, p: float, device: torch.device) -> Tensor:
        """Draw which elements stay, as `DropoutKey.keep_mask`."""
        return self.drawn(
            lambda: torch.empty(shape, dtype=torch.bool, device=device).bernoulli_(
                1 / kept_scale(p)
            )
        )

    def drawn(self, draw: Callable[[], T]) -> T:
        """Return what something gives that draws from the stream."""
        return draw()

    def kept(self) -> KeptStream:
        """Return the stream for a part of the pass that will be computed twice."""
        return KeptStream(self.seed, self.step, self.micro_batch, self.site)


@dataclass(frozen=True)
class KeptStream(DropoutStream):
    """Keeps what was drawn, for layers that are computed again as gradients are taken back: a
    stream can't be drawn from twice, and masks are a byte an element.
    """

    _draws: list[Any] = field(default_factory=list, repr=False, compare=False)
    _left: list[Any] = field(default_factory=list, repr=False, compare=False)

    def begin_again(self) -> None:
        """Give from now on what was drawn so far, in its order; then draw."""
        self._left[:] = self._draws[::-1]

    def drawn(self, draw: Callable[[], T]) -> T:
        """Return what was drawn the first time."""
        if self._left:
            earlier: T = self._left.pop()
            return earlier
        self._draws.append(result := draw())
        return result


def kept_scale(p: float) -> float:
    """Return what a kept element is multiplied by: 1 over the keep rate actually drawn."""
    return _LEVELS / (_LEVELS - _dropped_levels(p))


def _dropped_levels(p: float) -> int:
    """Of 65,536 levels those that are dropped; never all."""
    return min(round(p * _LEVELS), _LEVELS - 1)


def dropout(x: Tensor, p: float, key: DropoutKey | None) -> Tensor:
    """Zero a share p of the elements and scale the others so that the mean stays.

    Args:
        x: any floating tensor.
        p: share of elements to drop.
        key: names the mask; None (evaluation) returns x as it is.
    """
    if key is None or p == 0:
        return x
    keep = key.keep_mask(x.shape, p, x.device)
    result: Tensor = _Dropout.apply(x, None, keep, kept_scale(p))  # type: ignore[no-untyped-call]
    return result


def dropout_add(x: Tensor, residual: Tensor, p: float, key: DropoutKey | None) -> Tensor:
    """Return residual + dropout(x), in one pass over both.

    Args:
        x: any floating tensor.
        residual: of the same shape.
        p: share of x's elements to drop.
        key: names the mask; None is evaluation.
    """
    if key is None or p == 0:
        return residual + x
    keep = key.keep_mask(x.shape, p, x.device)
    result: Tensor = _Dropout.apply(x, residual, keep, kept_scale(p))  # type: ignore[no-untyped-call]
    return result


class _Dropout(torch.autograd.Function):
    """Keeps the mask alone, one byte per element: neither x nor a mask of floats."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, residual: Tensor | None, keep: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(keep)
        ctx.scale, ctx.dtype = scale, x.dtype
        if residual is None:
            return masked(x, keep).mul_(scale)
        # torch adds two dtypes at a quarter of the speed of a conversion and an addition.
        return torch.add(residual, masked(x, keep).to(residual.dtype), alpha=scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (keep,) = ctx.saved_tensors
        residual = grad if ctx.needs_input_grad[1] else None
        return masked(grad, keep).mul_(ctx.scale).to(ctx.dtype), residual, None, None


def masked(x: Tensor, keep: Tensor) -> Tensor:
    """Return x where `keep` is true and 0 elsewhere; a byte multiplies faster than a bool."""
    return x * keep.view(torch.uint8)
