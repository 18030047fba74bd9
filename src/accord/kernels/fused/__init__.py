"""Dropout, a sum and its layer norm in one pass over memory each way, where a GPU has it.

A block adds what its attention or feed-forward network gives to its input, and normalises the sum.
On a GPU such operations take as long as their numbers take from memory and back, and one after the
other each reads what the one before wrote. Kernels of our own read every row once (`row_kernels`);
a device gets them only after `fault` has found what they give to be the reference's (`formula`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from accord.kernels.fused import formula
from accord.kernels.fused.formula import Gradients, Norm, Normed, Saved, Summands

WIDEST = 2048  # columns: a row is one block, and has to stay in a program's registers
_TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-2}  # of the largest: one rounding is 4e-3


class Kernels(Protocol):
    """Both passes, as `formula` has them."""

    def forward(
        self, summands: Summands, norm: Norm, rounded: torch.dtype | None = None, *,
        saves: bool = True,
    ) -> Normed:  # fmt: skip
        """Add and normalise."""
        ...

    def backward(
        self, grad: Tensor, rounded_grad: Tensor | None, saved: Saved, weight: Tensor,
        keep: Tensor | None, scale: float, dtype: torch.dtype,
    ) -> Gradients:  # fmt: skip
        """Return the gradients."""
        ...


def kernels_for(x: Tensor, residual: Tensor, weight: Tensor, bias: Tensor | None) -> Kernels | None:
    """Return the kernels that take such tensors on their device; None where none do."""
    if not (x.is_cuda and fits(x, residual, weight, bias) and works(x.device)):
        return None
    from accord.kernels.fused import row_kernels

    return row_kernels


def fits(x: Tensor, residual: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether tensors have the shapes and dtypes of `formula.forward`, and rows of one block."""
    wide = [tensor for tensor in (residual, weight, bias) if tensor is not None]
    if x.dtype not in _TOLERANCE or any(tensor.dtype != torch.float32 for tensor in wide):
        return False
    if x.ndim != 2 or x.shape != residual.shape or weight.shape != x.shape[1:]:
        return False
    return 0 < x.shape[1] <= WIDEST and len(x) > 0


def works(device: torch.device) -> bool:
    """Whether the kernels may run on a device."""
    return fault(device) is None


@lru_cache
def fault(device: torch.device) -> str | None:
    """Try the kernels on a few rows, once per process.

    Returns:
        What is wrong with them on this device; None where they give what the reference gives.
    """
    if device.type != "cuda":
        return "it takes a GPU"
    try:
        from accord.kernels.fused import row_kernels

        return next(filter(None, (_fault(row_kernels, case, device) for case in CASES)), None)
    except Exception as error:  # a compiler has its own, and calls others
        return (str(error) or type(error).__name__).splitlines()[0]


class Case(NamedTuple):
    """A small input for the kernels.

    Attributes:
        width: H.
        dtype: of x.
        plain: without a mask, a bias and a second result.
    """

    width: int
    dtype: torch.dtype
    plain: bool


CASES = (Case(384, torch.bfloat16, plain=False), Case(17, torch.float32, plain=True))


def _fault(kernels: Kernels, case: Case, device: torch.device) -> str | None:
    """Return what is wrong with the kernels on a case."""
    ours, again, expected = (results(each, case, device) for each in (kernels, kernels, formula))
    if not all(map(torch.equal, ours, again)):
        return "it is not repeatable"
    for one, other in zip(ours, expected, strict=True):
        error = float((one.double() - other.double()).abs().max() / other.double().abs().max())
        if not error <= _TOLERANCE[one.dtype]:  # which NaN is not
            return f"its results differ from the reference's by {error:.1e}"
    return None


def results(kernels: Kernels, case: Case, device: torch.device) -> list[Tensor]:
    """Return all that both passes give for a case, always the same."""
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device)

    rows, (width, dtype, plain) = 5, case
    x, residual, grad = (drawn(rows, width) for _ in range(3))
    weight, bias, keep = drawn(width), drawn(width), drawn(rows, width) > -1
    keep_or_not, second = (None, None) if plain else (keep, torch.bfloat16)
    summands = Summands(x.to(dtype), residual, keep_or_not, 1.25)
    norm = Norm(weight, None if plain else bias, 1e-5)
    alone = kernels.forward(summands, norm, saves=False).y
    y, rounded, saved = kernels.forward(summands, norm, second)
    assert saved is not None
    rounded_grad = None if plain else drawn(rows, width).to(second)
    gradients = kernels.backward(grad, rounded_grad, saved, weight, keep_or_not, 1.25, dtype)
    return [alone, y, *([] if rounded is None else [rounded]), *saved, *gradients]
