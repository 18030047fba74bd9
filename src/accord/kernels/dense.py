"""Weights of dense layers laid out once, for products without gradients.

A product casts and rearranges its weights in every call, which for a few dozen rows takes longer
than the product itself. Here a weight is laid out when its layer is prepared, as it pays on a CPU:

- float32: as oneDNN wants it, beside the weight as it is, made when several rows first come: from
  some size on, as a head's product is quicker without.
- bfloat16, where a processor has instructions for it: cast, and rearranged by oneDNN.
- bfloat16, where it hasn't: in half precision, packed by FBGEMM, which multiplies in float32. That
  has three bits more than bfloat16 and half of float32's bytes to read, which is what products of
  few rows wait for. A weight that half precision can't hold as well as bfloat16 is rounded to that
  and kept in float32.

None of these needs a setting of the process.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from accord.kernels.matmul import MatmulPolicy

Dense = Callable[[Tensor], Tensor]
"""Returns x Wᵀ + b, float32 [n, m] of [n, k]; with an activation f(x Wᵀ + b), which stays in
bfloat16 where it was rounded to it, as the next product reads it."""

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
    "silu": F.silu,
    "tanh": torch.tanh,
}
_BY_ONEDNN = {
    "gelu": ("gelu", "none"), "gelu_tanh": ("gelu", "tanh"), "relu": ("relu", ""),
    "silu": ("swish", ""), "tanh": ("tanh", ""),
}  # fmt: skip

FEW_ROWS = 64  # up to which a new number of rows is no matter to oneDNN
ROW_MULTIPLE = 4
"""Of which rows are a multiple: oneDNN keeps half a MiB for each number of them and each layer,
and three more rows take no time that could be measured."""
_PACKED_WEIGHTS = 100_000  # from which on oneDNN's layout was measured to be quicker
_BFLOAT16_ERROR = 2.0**-9  # of rounding to it, relative


def lay_out(
    weight: Tensor, bias: Tensor | None, matmul: MatmulPolicy, activation: str | None = None
) -> Dense:
    """Lay a dense layer's weight out.

    Args:
        weight: float32 [m, k], on a CPU; in float32 the product reads it where it is.
        bias: float32 [m]; None adds nothing.
        matmul: in what precision, and how this machine multiplies.
        activation: a name in `ACTIVATIONS`, applied to the product; oneDNN does it while it holds
            the numbers: 17 and 11 ms become 13 and 7 for the two layers of MiniLM's feed-forward
            network and 512 tokens in float32 and bfloat16.
    """
    weight, bias = weight.detach(), None if bias is None else bias.detach()
    if not matmul.bfloat16:
        return _float32(weight, bias, matmul, activation)
    if not matmul.rounded:
        return _bfloat16(weight, bias, activation)
    if packs_half() and _fits_half(weight):
        packed = torch.ops.quantized.linear_prepack_fp16(weight, bias)
        product = torch.ops.quantized.linear_dynamic_fp16.default
        return _then(activation, lambda x: product(x, packed))
    rounded = _float32(weight.bfloat16().float(), bias, matmul, activation)
    return lambda x: rounded(x.bfloat16().float())


def _float32(
    weight: Tensor, bias: Tensor | None, matmul: MatmulPolicy, activation: str | None
) -> Dense:
    packed: list[Tensor] = []
    plain = _then(activation, lambda x: F.linear(x, weight, bias))
    if not matmul.onednn or weight.numel() < _PACKED_WEIGHTS:
        return plain

    def product(x: Tensor) -> Tensor:
        if len(x) == 1:
            return plain(x)
        if not packed:  # two threads may both make it: they make the same
            packed.append(torch.ops.mkldnn._reorder_linear_weight(weight, FEW_ROWS))
        return _rearranged(x, packed[0], bias, activation)

    return product


def _bfloat16(weight: Tensor, bias: Tensor | None, activation: str | None) -> Dense:
    cast, shift = weight.bfloat16(), None if bias is None else bias.bfloat16()
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():
        packed = torch.ops.mkldnn._reorder_linear_weight(cast, FEW_ROWS)
        if activation is None:
            return lambda x: _rearranged(x.bfloat16(), packed, shift).float()
        return lambda x: _rearranged(x.bfloat16(), packed, shift, activation)
    return _then(activation, lambda x: F.linear(x.bfloat16(), cast, shift).float())


def _rearranged(
    x: Tensor, packed: Tensor, bias: Tensor | None, activation: str | None = None
) -> Tensor:
    rows = len(x)
    filler = -rows % ROW_MULTIPLE
    if filler:
        x = F.pad(x, (0, 0, 0, filler))
    name, algorithm = ("none", "") if activation is None else _BY_ONEDNN[activation]
    product: Tensor = torch.ops.mkldnn._linear_pointwise.default(
        x, packed, bias, name, [], algorithm
    )
    return product[:rows] if filler else product


def _then(activation: str | None, product: Dense) -> Dense:
    if activation is None:
        return product
    function = ACTIVATIONS[activation]
    return lambda x: function(product(x))


def _fits_half(weight: Tensor) -> bool:
    """Whether half precision holds a weight at least as well as bfloat16 does."""
    exact = weight.double()  # squares of small weights are 0 in float32
    error = (weight.half().double() - exact).norm()
    return bool(error <= _BFLOAT16_ERROR * exact.norm())  # false for what isn't finite


@lru_cache
def packs_half() -> bool:
    """Whether this torch multiplies by weights in half precision; tried once a process."""
    weight, x = torch.arange(-3.0, 3.0).view(2, 3), torch.ones(2, 3)
    try:
        packed = torch.ops.quantized.linear_prepack_fp16(weight, None)
        product = torch.ops.quantized.linear_dynamic_fp16(x, packed)
    except (RuntimeError, NotImplementedError, AttributeError):
        return False
    return bool(torch.equal(product, x @ weight.t()))
