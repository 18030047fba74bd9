"""The same in one kernel a pass, by Triton: a program reads a row, and writes what follows from it.

Triton comes with torch where that is built for CUDA; nothing but `accord.kernels.fused` imports
this, and only on a GPU. Sums are float32's, within a program alone, so their order is fixed.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
import triton
import triton.language as tl
from torch import Tensor

from accord.kernels.fused.formula import Gradients, Norm, Normed, Saved, Summands

_ELEMENTS_PER_WARP = 256
_WARPS = 8  # at most


@triton.jit
def _forward_row(
    x, residual, keep, weight, bias, y, rounded, total,
    mean, rstd, scale, eps, WIDTH: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = column < WIDTH
    at = row * WIDTH + column
    added = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
    if keep is not None:  # a product, as in the formula
        added = added * tl.load(keep + at, mask=inside, other=0).to(tl.float32) * scale
    z = tl.load(residual + at, mask=inside, other=0.0) + added
    row_mean = tl.sum(z, 0) / WIDTH
    centred = tl.where(inside, z - row_mean, 0.0)
    row_rstd = tl.rsqrt(tl.sum(centred * centred, 0) / WIDTH + eps)
    out = centred * row_rstd * tl.load(weight + column, mask=inside, other=0.0)
    if bias is not None:
        out = out + tl.load(bias + column, mask=inside, other=0.0)
    tl.store(y + at, out, mask=inside)
    if rounded is not None:
        tl.store(rounded + at, out.to(rounded.dtype.element_ty), mask=inside)
    if total is not None:
        tl.store(total + at, z, mask=inside)
        tl.store(mean + row, row_mean)
        tl.store(rstd + row, row_rstd)


@triton.jit
def _backward_row(
    grad, rounded_grad, total, mean, rstd, weight, keep,
    residual_grad, x_grad, terms, scale, WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = column < WIDTH
    at = row * WIDTH + column
    dy = tl.load(grad + at, mask=inside, other=0.0)
    if rounded_grad is not None:
        dy = dy + tl.load(rounded_grad + at, mask=inside, other=0.0).to(tl.float32)
    row_rstd = tl.load(rstd + row)
    z = tl.load(total + at, mask=inside, other=0.0)
    normalised = tl.where(inside, (z - tl.load(mean + row)) * row_rstd, 0.0)
    term = dy * normalised
    tl.store(terms + row * 2 * WIDTH + column, term, mask=inside)
    tl.store(terms + row * 2 * WIDTH + WIDTH + column, dy, mask=inside)
    w = tl.load(weight + column, mask=inside, other=0.0)
    weighed = dy * w
    slope = tl.sum(term * w, 0) / WIDTH
    dz = (weighed - tl.sum(weighed, 0) / WIDTH - normalised * slope) * row_rstd
    tl.store(residual_grad + at, dz, mask=inside)
    if keep is not None:
        dz = dz * tl.load(keep + at, mask=inside, other=0).to(tl.float32) * scale
    tl.store(x_grad + at, dz.to(x_grad.dtype.element_ty), mask=inside)


def forward(
    summands: Summands, norm: Norm, rounded: torch.dtype | None = None, *, saves: bool = True
) -> Normed:
    """Add and normalise: as `formula.forward`."""
    x, residual, keep, scale = summands
    weight, bias, eps = norm
    y = torch.empty_like(residual, memory_format=torch.contiguous_format)
    second = None if rounded is None else torch.empty_like(y, dtype=rounded)
    saved = None
    if saves:
        saved = Saved(torch.empty_like(y), y.new_empty(len(y)), y.new_empty(len(y)))
    with on(x.device):
        _forward_row[(len(y),)](
            x.contiguous(), residual.contiguous(), _bytes(keep), weight, bias, y, second,
            *(saved or (None,) * 3), scale, eps, **_shape(y.shape[1]),
        )  # fmt: skip
    return Normed(y, second, saved)


def backward(
    grad: Tensor, rounded_grad: Tensor | None, saved: Saved, weight: Tensor, keep: Tensor | None,
    scale: float, dtype: torch.dtype,
) -> Gradients:  # fmt: skip
    """Return the gradients: as `formula.backward`."""
    (rows, width), total = saved.total.shape, saved.total
    made = Gradients(
        torch.empty_like(total), torch.empty_like(total, dtype=dtype),
        total.new_empty(rows, 2 * width),
    )  # fmt: skip
    with on(total.device):
        _backward_row[(rows,)](
            grad.contiguous(), None if rounded_grad is None else rounded_grad.contiguous(), *saved,
            weight, _bytes(keep), *made, scale, **_shape(width),
        )  # fmt: skip
    return made


def on(device: torch.device) -> AbstractContextManager[object]:
    """Return the block in which a kernel starts on a device; Triton's interpreter has a CPU's."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def _bytes(keep: Tensor | None) -> Tensor | None:
    return None if keep is None else keep.contiguous().view(torch.uint8)


def _shape(width: int) -> dict[str, int]:
    """Return how a row of some width is computed: in one block, of a power of two."""
    block = triton.next_power_of_2(width)
    warps = min(max(block // _ELEMENTS_PER_WARP, 1), _WARPS)
    return {"WIDTH": width, "BLOCK": block, "num_warps": warps}
