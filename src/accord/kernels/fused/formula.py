"""A dropped-out sum and the layer norm of it by the formula: the reference of the kernels.

z = r + s · keep ∘ x, x̂ = (z - mean) · rstd by row, y = w ∘ x̂ + b. The backward pass is written
out too, so that both passes of a kernel have a reference of their own.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Summands(NamedTuple):
    """What is added.

    Attributes:
        x: float32 or bfloat16 [N, H].
        residual: r, float32 [N, H].
        keep: bool [N, H], which elements of x stay; None keeps all, as they are.
        scale: s, of those that stay.
    """

    x: Tensor
    residual: Tensor
    keep: Tensor | None
    scale: float


class Norm(NamedTuple):
    """A layer norm.

    Attributes:
        weight: w, float32 [H].
        bias: b, float32 [H]; None adds nothing.
        eps: added to the variance.
    """

    weight: Tensor
    bias: Tensor | None
    eps: float


class Saved(NamedTuple):
    """What the backward pass needs of the forward pass.

    Attributes:
        total: z, float32 [N, H].
        mean: of each row of z, float32 [N].
        rstd: 1 over each row's deviation, float32 [N].
    """

    total: Tensor
    mean: Tensor
    rstd: Tensor


class Normed(NamedTuple):
    """What the forward pass gives.

    Attributes:
        y: float32 [N, H].
        rounded: y in a second dtype; None where none was asked for.
        saved: for the backward pass; None where nothing was to be saved.
    """

    y: Tensor
    rounded: Tensor | None
    saved: Saved | None


class Gradients(NamedTuple):
    """What the backward pass gives.

    Attributes:
        residual: the gradient of r, which is z's, float32 [N, H].
        x: of x, in its dtype.
        terms: each row's part of the gradients of w and b, [dy ∘ x̂, dy], float32 [N, 2H].
    """

    residual: Tensor
    x: Tensor
    terms: Tensor


def forward(
    summands: Summands, norm: Norm, rounded: torch.dtype | None = None, *, saves: bool = True
) -> Normed:
    """Add and normalise.

    Args:
        summands: what is added.
        norm: of the sum.
        rounded: a dtype in which y is wanted too.
        saves: whether the backward pass will be asked for.
    """
    x, residual, keep, scale = summands
    weight, bias, eps = norm
    total = residual + _masked(x.float(), keep, scale)
    mean = total.mean(1)
    centred = total - mean[:, None]
    rstd = (centred.square().mean(1) + eps).rsqrt()
    y = centred * rstd[:, None] * weight
    y = y if bias is None else y + bias
    saved = Saved(total, mean, rstd) if saves else None
    return Normed(y, None if rounded is None else y.to(rounded), saved)


def backward(
    grad: Tensor, rounded_grad: Tensor | None, saved: Saved, weight: Tensor, keep: Tensor | None,
    scale: float, dtype: torch.dtype,
) -> Gradients:  # fmt: skip
    """Return the gradients.

    Args:
        grad: of y, float32 [N, H].
        rounded_grad: of y in the second dtype, in it; None where that had no part in the loss.
        saved: by the forward pass.
        weight, keep, scale: as `forward` had them.
        dtype: of x.
    """
    dy = grad if rounded_grad is None else grad + rounded_grad.float()
    normalised = (saved.total - saved.mean[:, None]) * saved.rstd[:, None]
    weighed = dy * weight
    slope = (weighed * normalised).mean(1, keepdim=True)
    centred = weighed - weighed.mean(1, keepdim=True) - normalised * slope
    total_grad = centred * saved.rstd[:, None]
    x_grad = _masked(total_grad, keep, scale).to(dtype)
    return Gradients(total_grad, x_grad, torch.cat((dy * normalised, dy), 1))


def _masked(x: Tensor, keep: Tensor | None, scale: float) -> Tensor:
    """Return s · keep ∘ x: a product, so that what isn't finite is seen where it is dropped too."""
    return x if keep is None else x * keep * scale
