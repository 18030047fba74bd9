"""Attention sequence by sequence, as the formula reads; the reference for the fast ways."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from accord.kernels.attention.plan import AttentionPlan
from accord.kernels.dropout import DropoutKey, dropout


def reference(
    query: Tensor,
    key_value: Tensor,
    plan: AttentionPlan,
    heads: int,
    p: float = 0.0,
    key: DropoutKey | None = None,
) -> Tensor:
    """Attend sequence by sequence; as `accord.kernels.attention.attend`."""
    outputs = []
    width = query.shape[1] // heads
    sizes = [1] * len(plan.lengths) if plan.cls_queries else list(plan.lengths)
    queries, keys = torch.split(query, sizes), torch.split(key_value, list(plan.lengths))
    for i, (queried, kv) in enumerate(zip(queries, keys, strict=True)):
        by_head = (x.view(-1, heads, width).transpose(0, 1) for x in (queried, *kv.chunk(2, dim=1)))
        q, k, v = by_head
        probabilities = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(width), dim=-1)
        mask = None if key is None else key.at(key.site + i)
        outputs.append((dropout(probabilities, p, mask) @ v).transpose(0, 1).flatten(1))
    return torch.cat(outputs)
