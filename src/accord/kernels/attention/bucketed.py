"""Attention by batched products over buckets of similar length, on a CPU and a GPU."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from accord.kernels.attention.plan import AttentionPlan
from accord.kernels.dropout import DropoutKey, kept_scale, masked


def attend(
    query: Tensor,
    key_value: Tensor,
    plan: AttentionPlan,
    heads: int,
    p: float = 0.0,
    key: DropoutKey | None = None,
) -> Tensor:
    """Attend within each sequence; as `accord.kernels.attention.attend`."""
    result: Tensor = _Bucketed.apply(query, key_value, plan, heads, p, key)  # type: ignore[no-untyped-call]
    return result


class _Bucketed(torch.autograd.Function):
    """Both passes by hand: gathers in place of the scatters that autograd would use.

    With P = softmax(s QKᵀ), mask M and scale c of the kept: out = c (P ∘ M) V. The backward
    pass needs P and D = P ∘ M alone: dS = E - P · rowsum(E) with E = c (dO Vᵀ) ∘ D.
    """

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
        layouts, dtype = plan.layouts(heads), query.dtype
        scale = 1 / math.sqrt(query.shape[1] // heads)
        kept = 1.0 if key is None else kept_scale(p)
        queries = _computed(layouts[0].spread(query))
        pair = _computed(layouts[1].spread(key_value))
        keys, values = pair.chunk(2)
        out = torch.empty_like(queries)
        saved = [queries, pair]
        for i, bucket in enumerate(plan.buckets):
            q, o = (_batch(x, bucket.queries, bucket.width, heads) for x in (queries, out))
            k, v = (_batch(x, bucket.keys, bucket.length, heads) for x in (keys, values))
            scores = _product(q, k.transpose(1, 2), scale)
            if bucket.padding is not None:
                scores.view(bucket.count, heads, bucket.width, -1).add_(bucket.padding)
            probabilities = torch.softmax(scores, -1, dtype=torch.float32).to(q.dtype)
            saved.append(probabilities)
            if key is not None and p:
                saved.append(key.at(key.site + i).keep_mask(scores.shape, p, scores.device))
                probabilities = masked(probabilities, saved[-1])
            _product(probabilities, v, kept, out=o)
        ctx.save_for_backward(*saved)
        ctx.arguments = plan, layouts, heads, scale, kept, key is not None and p > 0
        ctx.dtype = dtype
        return layouts[0].gather(out.to(dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        plan, layouts, heads, scale, kept, has_masks = ctx.arguments
        queries, pair, *saved = ctx.saved_tensors
        parts = iter(saved)
        outs = _computed(layouts[0].spread(grad, zeroed=True))
        query_grad, pair_grad = torch.empty_like(queries), torch.empty_like(pair)
        for bucket in plan.buckets:
            probabilities = next(parts)
            dropped = masked(probabilities, next(parts)) if has_masks else probabilities
            q, o, dq = (
                _batch(x, bucket.queries, bucket.width, heads) for x in (queries, outs, query_grad)
            )
            k, v, dk, dv = (
                _batch(x, bucket.keys, bucket.length, heads)
                for x in (*pair.chunk(2), *pair_grad.chunk(2))
            )
            _product(dropped.transpose(1, 2), o, kept, out=dv)
            scores = _product(o, v.transpose(1, 2), kept).mul_(dropped)
            scores.addcmul_(probabilities, scores.sum(-1, keepdim=True), value=-1)
            _product(scores, k, scale, out=dq)
            _product(scores.transpose(1, 2), q, scale, out=dk)
        grads = (query_grad.to(ctx.dtype), pair_grad.to(ctx.dtype))
        return layouts[0].gather(grads[0]), layouts[1].gather(grads[1]), *[None] * 4


def _computed(x: Tensor) -> Tensor:
    """Return x as attention computes with it: on a CPU never in bfloat16.

    Its products are small there. In bfloat16 they are no faster, and oneDNN prepares each new
    shape for a millisecond and more, of which every batch brings dozens.
    """
    return x.float() if x.dtype == torch.bfloat16 and x.device.type == "cpu" else x


def _product(a: Tensor, b: Tensor, scale: float, out: Tensor | None = None) -> Tensor:
    """scale · a b for matrices [g, n, k] and [g, k, m]; the scaling costs no pass of its own."""
    if out is None:
        out = a.new_empty(a.shape[0], a.shape[1], b.shape[2])
    return torch.baddbmm(out, a, b, beta=0, alpha=scale, out=out)


def _batch(x: Tensor, places: tuple[int, int], length: int, heads: int) -> Tensor:
    """A bucket's part of [places * heads, d] as [b * heads, length, d]."""
    return x[places[0] * heads : places[1] * heads].view(-1, length, x.shape[1])
