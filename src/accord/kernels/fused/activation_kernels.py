"""The same in one kernel a pass, by Triton: a program has a tile of 32 rows and 128 columns.

As `row_kernels`, imported by `accord.kernels.fused` alone, and without atomics.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from accord.kernels.fused.activations import BLOCK_ROWS
from accord.kernels.fused.row_kernels import on

_COLUMNS = 128


@triton.jit
def _tanh(h):
    return 2 * tl.sigmoid(2 * h) - 1


@triton.jit
def _forward_tile(
    x, bias, y, rows, WIDTH: tl.constexpr, KIND: tl.constexpr, ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = (row[:, None] < rows) & (column[None, :] < WIDTH)
    at = row[:, None] * WIDTH + column[None, :]
    h = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
    h += tl.load(bias + column, mask=column < WIDTH, other=0.0)[None, :]
    if KIND == "gelu":
        out = 0.5 * h * (1 + tl.erf(h * 0.7071067811865476))
    elif KIND == "gelu_tanh":
        out = 0.5 * h * (1 + _tanh(0.7978845608028654 * (h + 0.044715 * h * h * h)))
    elif KIND == "relu":
        out = tl.where(h <= 0, 0.0, h)  # NaN stays
    elif KIND == "silu":
        out = h * tl.sigmoid(h)
    else:
        out = _tanh(h)
    tl.store(y + at, out.to(y.dtype.element_ty), mask=inside)


@triton.jit
def _backward_tile(
    grad, x, bias, x_grad, sums, rows, WIDTH: tl.constexpr, KIND: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = (row[:, None] < rows) & (column[None, :] < WIDTH)
    at = row[:, None] * WIDTH + column[None, :]
    h = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
    h += tl.load(bias + column, mask=column < WIDTH, other=0.0)[None, :]
    if KIND == "gelu":
        slope = 0.5 * (1 + tl.erf(h * 0.7071067811865476))
        slope += h * tl.exp(-0.5 * h * h) * 0.3989422804014327
    elif KIND == "gelu_tanh":
        t = _tanh(0.7978845608028654 * (h + 0.044715 * h * h * h))
        inner = 0.7978845608028654 * (1 + 0.134145 * h * h)
        slope = 0.5 * (1 + t) + 0.5 * h * (1 - t * t) * inner
    elif KIND == "relu":
        slope = tl.where(h > 0, 1.0, 0.0)
    elif KIND == "silu":
        share = tl.sigmoid(h)
        slope = share * (1 + h * (1 - share))
    else:
        t = _tanh(h)
        slope = 1 - t * t
    dh = tl.load(grad + at, mask=inside, other=0.0).to(tl.float32) * slope
    tl.store(x_grad + at, dh.to(x_grad.dtype.element_ty), mask=inside)
    if sums is not None:
        place = tl.program_id(0).to(tl.int64) * WIDTH + column
        tl.store(sums + place, tl.sum(tl.where(inside, dh, 0.0), 0), mask=column < WIDTH)


def forward(x: Tensor, bias: Tensor, kind: str) -> Tensor:
    """Return f(x + b): as `activations.forward`."""
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    with on(x.device):
        _forward_tile[_grid(x)](x.contiguous(), bias, y, len(x), **_shape(x, kind))
    return y


def backward(
    grad: Tensor, x: Tensor, bias: Tensor, kind: str, *, sums: bool = True
) -> tuple[Tensor, Tensor | None]:
    """Return the gradient of x + b, and its sums: as `activations.backward`."""
    x_grad = torch.empty_like(x, memory_format=torch.contiguous_format)
    grid, added = _grid(x), None
    if sums:
        added = torch.empty(grid[0], x.shape[1], dtype=torch.float32, device=x.device)
    with on(x.device):
        _backward_tile[grid](
            grad.contiguous(), x.contiguous(), bias, x_grad, added, len(x), **_shape(x, kind)
        )
    return x_grad, added


def _grid(x: Tensor) -> tuple[int, int]:
    return triton.cdiv(len(x), BLOCK_ROWS), triton.cdiv(x.shape[1], _COLUMNS)


def _shape(x: Tensor, kind: str) -> dict[str, object]:
    """Return how a tile is computed."""
    return {
        "WIDTH": x.shape[1], "KIND": kind, "ROWS": BLOCK_ROWS, "COLUMNS": _COLUMNS, "num_warps": 4,
    }  # fmt: skip
