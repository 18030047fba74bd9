"""Few passes over memory between products, where a GPU has kernels for it.

A block adds what its attention or feed-forward network gives to its input, and normalises the sum;
within the network it adds a bias and applies an activation. On a GPU such operations take as long
as their numbers take from memory and back, and one after the other each reads what the one before
wrote. Kernels of our own read every number once: `row_kernels` for dropout, sum and norm,
`activation_kernels` for bias and activation. A device gets them only after `fault` and
`activation_fault` have found what they give to be the references' (`formula`, `activations`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from accord.kernels.fused import activations, formula
from accord.kernels.fused.formula import Gradients, Norm, Normed, Saved, Summands
from accord.kernels.matmul import compute_dtype

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


class ActivationKernels(Protocol):
    """Both passes, as `activations` has them."""

    def forward(self, x: Tensor, bias: Tensor, kind: str) -> Tensor:
        """Add the bias and apply the activation."""
        ...

    def backward(
        self, grad: Tensor, x: Tensor, bias: Tensor, kind: str, *, sums: bool = True
    ) -> tuple[Tensor, Tensor | None]:
        """Return the gradient, and its sums over blocks of rows."""
        ...


def activations_for(x: Tensor, bias: Tensor, kind: str) -> ActivationKernels | None:
    """Return the kernels of a dense layer's bias and activation; None where there are none.

    Args:
        x: the layer's input.
        bias: its bias.
        kind: of `activations.KINDS`.
    """
    if not (x.is_cuda and x.ndim == 2 and len(x) > 0 and bias.dtype == torch.float32):
        return None
    dtype = compute_dtype(x)
    if dtype not in _TOLERANCE or activation_fault(x.device, kind, dtype) is not None:
        return None
    from accord.kernels.fused import activation_kernels

    return activation_kernels


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


@lru_cache
def activation_fault(device: torch.device, kind: str, dtype: torch.dtype) -> str | None:
    """Try the kernels of an activation on a few rows, where the others work; once per process.

    Returns:
        What is wrong with them on this device; None where they give what the reference gives.
    """
    if (of_all := fault(device)) is not None:
        return of_all
    try:
        from accord.kernels.fused import activation_kernels

        return _activation_fault(activation_kernels, kind, dtype, device)
    except Exception as error:
        return (str(error) or type(error).__name__).splitlines()[0]


def _activation_fault(
    kernels: ActivationKernels, kind: str, dtype: torch.dtype, device: torch.device
) -> str | None:
    given = (kind, dtype, device)
    return _compared(*(activation_results(of, *given) for of in (kernels, kernels, activations)))


def activation_results(
    kernels: ActivationKernels, kind: str, dtype: torch.dtype, device: torch.device,
    rows: int = 37, width: int = 145,
) -> list[Tensor]:  # fmt: skip
    """Return what both passes give for some rows, always the same: y, the gradient and its sums."""
    generator = torch.Generator().manual_seed(0)
    x, grad = (2 * torch.randn(rows, width, generator=generator) for _ in range(2))
    x, grad = (each.to(device, dtype) for each in (x, grad))
    bias = torch.randn(width, generator=generator).to(device)
    x_grad, sums = kernels.backward(grad, x, bias, kind)
    assert sums is not None
    return [kernels.forward(x, bias, kind), x_grad, sums]


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
    return _compared(*(results(each, case, device) for each in (kernels, kernels, formula)))


def _compared(ours: list[Tensor], again: list[Tensor], expected: list[Tensor]) -> str | None:
    """Return what is wrong with results, of two times, beside the reference's."""
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
