"""A bias and an activation by the formula: the reference of their kernels.

h = x + b, y = f(h); backward dh = dy · f'(h), and the sums of dh over blocks of rows, of which a
bias's gradients are made. All is computed in float32, and rounded once.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK_ROWS = 32
"""Rows of one sum: of a multiple of these a static batch's tasks have tokens."""

_ROOT = math.sqrt(2 / math.pi)
_CUBE = 0.044715


def _gelu_slope(h: Tensor) -> Tensor:
    cumulative = 0.5 * (1 + torch.erf(h * math.sqrt(0.5)))
    return cumulative + h * torch.exp(-0.5 * h * h) / math.sqrt(2 * math.pi)


def _gelu_tanh_slope(h: Tensor) -> Tensor:
    t = torch.tanh(_ROOT * (h + _CUBE * h**3))
    return 0.5 * (1 + t) + 0.5 * h * (1 - t * t) * _ROOT * (1 + 3 * _CUBE * h * h)


def _silu_slope(h: Tensor) -> Tensor:
    share = torch.sigmoid(h)
    return share * (1 + h * (1 - share))


_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": lambda h: F.gelu(h, approximate="tanh"),
    "relu": F.relu,
    "silu": F.silu,
    "tanh": torch.tanh,
}
_SLOPES: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": _gelu_slope,
    "gelu_tanh": _gelu_tanh_slope,
    "relu": lambda h: (h > 0).float(),
    "silu": _silu_slope,
    "tanh": lambda h: 1 - torch.tanh(h).square(),
}
KINDS = tuple(_FUNCTIONS)
"""What f may be."""


def forward(x: Tensor, bias: Tensor, kind: str) -> Tensor:
    """Return f(x + b), in x's dtype.

    Args:
        x: float32 or bfloat16 [N, M].
        bias: b, float32 [M].
        kind: of `KINDS`, what f is.
    """
    return _FUNCTIONS[kind](x.float() + bias).to(x.dtype)


def backward(
    grad: Tensor, x: Tensor, bias: Tensor, kind: str, *, sums: bool = True
) -> tuple[Tensor, Tensor | None]:
    """Return the gradient of x + b, and its sums over blocks of rows.

    Args:
        grad: of f(x + b), in x's dtype [N, M].
        x, bias, kind: as `forward` had them.
        sums: whether they are wanted.

    Returns:
        dh in x's dtype [N, M]; and float32 [⌈N / BLOCK_ROWS⌉, M], of dh before it was rounded, or
        None.
    """
    slope = grad.float() * _SLOPES[kind](x.float() + bias)
    if not sums:
        return slope.to(x.dtype), None
    padded = F.pad(slope, (0, 0, 0, -len(slope) % BLOCK_ROWS))
    return slope.to(x.dtype), padded.view(-1, BLOCK_ROWS, slope.shape[1]).sum(1)
