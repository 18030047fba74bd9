"""Multi-head attention over packed sequences, behind one signature.

    attend(query [Q, H], key_value [N, 2H], plan, heads, p, key) -> [Q, H]

`reference` goes sequence by sequence in four lines; `bucketed` groups sequences of like
length into batched products with a backward pass of its own (CPUs, and float32 anywhere);
`nested` hands a GPU's half precision to torch's variable-length kernels. Each sequence
attends to itself alone: softmax(q kᵀ / √d) v, *source:* Vaswani et al. 2017, equation 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from accord.dropout import DropoutKey, dropout, kept_scale, scaled

_WASTE = 1.12  # longest over shortest length within a bucket; measured best from 1.0 to 2.0


@dataclass(frozen=True)
class Bucket:
    """b sequences of like length, padded to the longest, L.

    Attributes:
        keys: int64 [b * L], the token at each padded place; padding repeats a first token.
        queries: int64 [b * Lq], the query row at each place (Lq is L, or 1 for CLS alone).
        shape: (b, Lq, L).
        padding: bool [b, 1, 1, L], true at padding; None where there is none.
        padded_queries: int64, places in `queries` that are padding; None where there are none.
    """

    keys: Tensor
    queries: Tensor
    shape: tuple[int, int, int]
    padding: Tensor | None
    padded_queries: Tensor | None


@dataclass(frozen=True)
class AttentionPlan:
    """How attention runs over one batch's sequences; made once a batch, used by every layer.

    Attributes:
        lengths: tokens of each sequence.
        cls_queries: whether only each sequence's first token is a query.
        buckets: groups of like length.
        query_places: int64 [Q], where each query stands among the buckets' query places.
        key_places: int64 [N], where each token stands among the buckets' key places.
    """

    lengths: tuple[int, ...]
    cls_queries: bool
    buckets: tuple[Bucket, ...]
    query_places: Tensor
    key_places: Tensor


def plan_attention(
    lengths: Sequence[int], device: torch.device, cls_queries: bool = False
) -> AttentionPlan:
    """Group sequences into buckets of like length.

    Args:
        lengths: tokens of each sequence.
        device: where the indices are needed.
        cls_queries: whether only each sequence's first token is a query.
    """
    sizes = torch.tensor(lengths)
    starts = F.pad(sizes.cumsum(0), (1, 0))[:-1]
    buckets = []
    for members in _alike(lengths):
        longest = max(lengths[i] for i in members)
        offsets = torch.arange(longest)[None]
        valid = offsets < sizes[members][:, None]
        keys = torch.where(valid, starts[members][:, None] + offsets, starts[members][:, None])
        query_valid = valid[:, :1] if cls_queries else valid
        queries = torch.tensor(members)[:, None] if cls_queries else keys
        even = bool(valid.all())
        buckets.append((keys, queries, valid, query_valid, even))
    key_places = _places([(keys, valid) for keys, _, valid, _, _ in buckets])
    query_places = _places([(queries, valid) for _, queries, _, valid, _ in buckets])
    return AttentionPlan(
        lengths=tuple(lengths),
        cls_queries=cls_queries,
        buckets=tuple(
            Bucket(
                keys=keys.flatten().to(device),
                queries=queries.flatten().to(device),
                shape=(keys.shape[0], queries.shape[1], keys.shape[1]),
                padding=None if even else ~valid[:, None, None, :].to(device),
                padded_queries=None
                if even or cls_queries
                else (~query_valid).flatten().nonzero().flatten().to(device),
            )
            for keys, queries, valid, query_valid, even in buckets
        ),
        query_places=query_places.to(device),
        key_places=key_places.to(device),
    )


def _alike(lengths: Sequence[int]) -> list[list[int]]:
    """Group the indices of sequences whose lengths differ by little."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    groups: list[list[int]] = []
    for i in order:
        if groups and lengths[groups[-1][0]] <= _WASTE * lengths[i] + 1:
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups


def _places(parts: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Invert: the place of each row, from the rows at each place and which of them count."""
    rows = torch.cat([rows.flatten() for rows, _ in parts])
    valid = torch.cat([valid.flatten() for _, valid in parts])
    places = torch.empty(int(valid.sum()), dtype=torch.int64)
    places[rows[valid]] = torch.arange(len(rows))[valid]
    return places


def attend(
    query: Tensor,
    key_value: Tensor,
    plan: AttentionPlan,
    heads: int,
    p: float = 0.0,
    key: DropoutKey | None = None,
) -> Tensor:
    """Attend within each sequence by the fastest path for the device and dtype.

    Args:
        query: [Q, H], a row for every token, or one a sequence under a CLS plan.
        key_value: [N, 2H], keys then values.
        plan: the batch's.
        heads: number of heads; divides H.
        p: dropout of the attention probabilities.
        key: names the dropout mask; None is evaluation.

    Returns:
        [Q, H].
    """
    if query.is_cuda and query.dtype in (torch.float16, torch.bfloat16) and not plan.cls_queries:
        return nested(query, key_value, plan, heads, p, key)
    return bucketed(query, key_value, plan, heads, p, key)


def reference(
    query: Tensor,
    key_value: Tensor,
    plan: AttentionPlan,
    heads: int,
    p: float = 0.0,
    key: DropoutKey | None = None,
) -> Tensor:
    """Attend sequence by sequence, as the formula reads."""
    outputs = []
    width = query.shape[1] // heads
    queries = query.split([1] * len(plan.lengths) if plan.cls_queries else list(plan.lengths))
    for i, (q, kv) in enumerate(zip(queries, key_value.split(list(plan.lengths)), strict=True)):
        q, k, v = (x.view(-1, heads, width).transpose(0, 1) for x in (q, *kv.chunk(2, dim=1)))
        probabilities = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(width), dim=-1)
        mask = None if key is None else key.at(key.site + i)
        outputs.append((dropout(probabilities, p, mask) @ v).transpose(0, 1).flatten(1))
    return torch.cat(outputs)


def nested(
    query: Tensor,
    key_value: Tensor,
    plan: AttentionPlan,
    heads: int,
    p: float = 0.0,
    key: DropoutKey | None = None,
) -> Tensor:
    """Attend through torch's jagged tensors: flash attention without padding on a GPU.

    The kernel draws its own dropout, so the device's generator is set from the key.
    """
    offsets = F.pad(torch.tensor(plan.lengths, device=query.device).cumsum(0), (1, 0))
    q, k, v = (
        torch.nested.nested_tensor_from_jagged(
            x.reshape(len(x), heads, -1), offsets, max_seqlen=max(plan.lengths)
        ).transpose(1, 2)
        for x in (query, *key_value.chunk(2, dim=1))
    )
    if key is not None and p and query.is_cuda:
        torch.cuda.manual_seed(hash((key.seed, key.step, key.micro_batch, key.site)))
    out = F.scaled_dot_product_attention(q, k, v, dropout_p=0.0 if key is None else p)
    values: Tensor = out.transpose(1, 2).values()
    return values.flatten(1)


def bucketed(
    query: Tensor,
    key_value: Tensor,
    plan: AttentionPlan,
    heads: int,
    p: float = 0.0,
    key: DropoutKey | None = None,
) -> Tensor:
    """Attend by batched products over buckets of like length."""
    result: Tensor = _Bucketed.apply(query, key_value, plan, heads, p, key)
    return result


class _Bucketed(torch.autograd.Function):
    """Both passes by hand: gathers in place of the scatters that autograd would use."""

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
        hidden = query.shape[1]
        scale = 1 / math.sqrt(hidden // heads)
        outputs, saved = [], []
        for i, bucket in enumerate(plan.buckets):
            q = _split(query, bucket.queries, bucket.shape[1], 1, heads)[0].mul_(scale)
            k, v = _split(key_value, bucket.keys, bucket.shape[2], 2, heads)
            scores = torch.bmm(q, k.transpose(1, 2))
            if bucket.padding is not None:
                _per_head(scores, heads).masked_fill_(bucket.padding, -math.inf)
            probabilities = torch.softmax(scores, -1, dtype=torch.float32).to(q.dtype)
            kept, keep = probabilities, None
            if key is not None and p:
                keep = key.at(key.site + i).keep_mask(scores.shape, p, scores.device)
                kept = probabilities * scaled(keep, kept_scale(p), scores.dtype)
            outputs.append(_merge(torch.bmm(kept, v)[None], heads))
            saved += [q, k, v, probabilities, keep]
        ctx.save_for_backward(*saved)
        ctx.arguments = plan, heads, kept_scale(p), scale
        return torch.cat(outputs).index_select(0, plan.query_places)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        plan, heads, kept, scale = ctx.arguments
        saved = ctx.saved_tensors
        query_grads, key_value_grads = [], []
        for i, bucket in enumerate(plan.buckets):
            q, k, v, probabilities, keep = saved[5 * i : 5 * i + 5]
            (out,) = _split(grad, bucket.queries, bucket.shape[1], 1, heads, bucket.padded_queries)
            product = torch.bmm(out, v.transpose(1, 2))
            dropped = probabilities
            if keep is not None:
                mask = scaled(keep, kept, product.dtype)
                product, dropped = product.mul_(mask), mask.mul_(probabilities)
            scores = torch._softmax_backward_data(product, probabilities, -1, product.dtype)
            query_grads.append(_merge(torch.bmm(scores, k).mul_(scale)[None], heads))
            pair = torch.stack(
                [torch.bmm(scores.transpose(1, 2), q), torch.bmm(dropped.transpose(1, 2), out)]
            )
            key_value_grads.append(_merge(pair, heads))
        return (
            torch.cat(query_grads).index_select(0, plan.query_places),
            torch.cat(key_value_grads).index_select(0, plan.key_places),
            None, None, None, None,
        )  # fmt: skip


def _split(
    x: Tensor, rows: Tensor, length: int, parts: int, heads: int, zeroed: Tensor | None = None
) -> tuple[Tensor, ...]:
    """Gather rows of [N, parts·H] into `parts` tensors [b·heads, length, H / heads]."""
    gathered = x.index_select(0, rows)
    if zeroed is not None:
        gathered.index_fill_(0, zeroed, 0)
    gathered = gathered.view(-1, length, parts, heads, x.shape[1] // (parts * heads))
    return gathered.permute(2, 0, 3, 1, 4).flatten(1, 2).unbind(0)


def _merge(x: Tensor, heads: int) -> Tensor:
    """Lay [c, b·heads, length, d] out as rows [b·length, c·heads·d]."""
    parts, batch_heads, length, width = x.shape
    x = x.view(parts, batch_heads // heads, heads, length, width).permute(1, 3, 0, 2, 4)
    return x.reshape(batch_heads // heads * length, parts * heads * width)


def _per_head(scores: Tensor, heads: int) -> Tensor:
    return scores.view(-1, heads, *scores.shape[1:])
