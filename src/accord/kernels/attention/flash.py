"""Attention over sequences of any lengths in one kernel, without padding, where a GPU has it.

torch's flash attention (Dao 2023) takes packed rows and where each sequence starts, so nothing is
laid out in buckets. Its operators are torch's own and not its public face, so a device gets them
only after `fault` has found their results and gradients to be the reference's.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from accord.kernels.attention.formula import reference
from accord.kernels.attention.plan import AttentionPlan, plan_attention
from accord.kernels.dropout import DropoutKey, DropoutStream

_TOLERANCE = 0.02  # relative: several roundings to bfloat16
_WIDTHS = 8  # the kernel takes heads whose width is a multiple of it


def attend(
    query: Tensor,
    key_value: Tensor,
    plan: AttentionPlan,
    heads: int,
    p: float = 0.0,
    key: DropoutKey | None = None,
) -> Tensor:
    """Attend within each sequence; as `accord.kernels.attention.attend`, in bfloat16.

    The kernel draws its own dropout masks, from a generator seeded by `key`; its keep rate is
    1 - p to 1 part in 255.
    """
    result: Tensor = _Flash.apply(query, key_value, plan, heads, p, key)  # type: ignore[no-untyped-call]
    return result


class _Flash(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key_value: Tensor,
        plan: AttentionPlan,
        heads: int,
        p: float,
        key: DropoutKey | None,
    ) -> Tensor:
        by_head = query.view(len(query), heads, -1)
        q = widened(by_head)
        k, v = widened(key_value.view(len(key_value), 2, heads, -1)).unbind(1)
        starts_q, starts_k, longest_q, longest_k = plan.starts()
        rate = 0.0 if key is None else p
        if key is not None and p and not isinstance(key, DropoutStream):
            torch.cuda.default_generators[query.device.index or 0].manual_seed(key.number())

        def attended() -> tuple[Tensor, ...]:
            given: tuple[Tensor, ...] = torch.ops.aten._flash_attention_forward(
                q, k, v, starts_q, starts_k, longest_q, longest_k, rate, False, False,
                scale=by_head.shape[-1] ** -0.5,
            )  # fmt: skip
            return given[:4]

        stream = key if isinstance(key, DropoutStream) and rate else None
        results = attended() if stream is None else stream.drawn(attended)
        out, logsumexp, state, unused = results
        ctx.save_for_backward(q, k, v, out, logsumexp, state, unused)
        ctx.plan, ctx.rate, ctx.width = plan, rate, by_head.shape[-1]
        flat: Tensor = out[..., : ctx.width].flatten(1)
        return flat

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out, logsumexp, state, unused = ctx.saved_tensors
        starts_q, starts_k, longest_q, longest_k = ctx.plan.starts()
        wide = widened(grad.reshape(*out.shape[:-1], ctx.width)).contiguous()
        grads = torch.ops.aten._flash_attention_backward(
            wide, q, k, v, out, logsumexp, starts_q, starts_k,
            longest_q, longest_k, ctx.rate, False, state, unused, scale=ctx.width**-0.5,
        )  # fmt: skip
        dq, dk, dv = (gradient[..., : ctx.width] for gradient in grads)
        return dq.flatten(1), torch.stack((dk, dv), 1).flatten(1), *[None] * 4


def widened(heads: Tensor) -> Tensor:
    """Fill heads up with zeros to a width that the kernel takes, [..., w] -> [..., w'].

    Zeros add nothing to a product of queries and keys, and values that are 0 are cut off again.

    Example:
        >>> widened(torch.ones(2, 3, 17)).shape, widened(torch.ones(2, 3, 32)).shape
        (torch.Size([2, 3, 24]), torch.Size([2, 3, 32]))
    """
    missing = -heads.shape[-1] % _WIDTHS
    return F.pad(heads, (0, missing)) if missing else heads


def works(device: torch.device) -> bool:
    """Whether attention may run here on a device."""
    return fault(device) is None


@lru_cache
def fault(device: torch.device) -> str | None:
    """Try the kernel on a few sequences, once per process.

    Returns:
        What is wrong with it on this device; None where it gives what the reference gives.
    """
    if device.type != "cuda":
        return "it takes a GPU"
    with torch.random.fork_rng(devices=[device.index or 0]):  # a step may be drawing its masks
        return next(filter(None, (_fault(device, width) for width in (32, 17))), None)


def _fault(device: torch.device, width: int) -> str | None:
    """Return what is wrong with heads of a width."""
    generator = torch.Generator().manual_seed(0)
    lengths, heads = (5, 1, 32, 17), 2
    rows = sum(lengths)
    shapes = (rows, heads * width), (rows, 2 * heads * width), (rows, heads * width)
    query, key_value, grad = (
        torch.randn(shape, generator=generator).to(device, torch.bfloat16) for shape in shapes
    )
    plan, runs = plan_attention(lengths, device), []
    try:
        for way in (attend, reference):
            inputs = query.detach().requires_grad_(), key_value.detach().requires_grad_()
            out = way(*inputs, plan, heads)
            runs.append((out, *torch.autograd.grad(out, inputs, grad)))
        key = DropoutKey(0, 0)
        draws = [attend(query, key_value, plan, heads, 0.5, key) for _ in range(2)]
    except (RuntimeError, NotImplementedError) as error:
        return str(error).splitlines()[0]
    errors = [_error(one, other) for one, other in zip(*runs, strict=True)]
    if max(errors) > _TOLERANCE:
        return f"its results differ from the reference's by {max(errors):.1e}"
    if not torch.equal(*draws):
        return "its dropout is not repeatable"
    return None


def _error(one: Tensor, other: Tensor) -> float:
    one, other = one.detach().double(), other.detach().double()
    return float((one - other).norm() / other.norm())
