"""Attention over padded sequences, in torch's own operations alone: what a graph is traced from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from accord.kernels.attention.plan import AttentionPlan


@dataclass(frozen=True, kw_only=True)
class PaddedPlan(AttentionPlan):
    """The plan of B sequences that are padded to L tokens: rows are those of [B, L], one by one.

    Attributes:
        mask: bool [B, 1, 1, L], false at padding.
    """

    mask: Tensor

    @classmethod
    def of(cls, mask: Tensor, cls_queries: bool = False) -> PaddedPlan:
        """Make the plan of a mask, bool [B, L], of which each row begins with a token."""
        shaped = mask[:, None, None]
        return cls((), cls_queries, (), (), (), (), mask.device, mask=shaped)


def attend(query: Tensor, key_value: Tensor, plan: PaddedPlan, heads: int) -> Tensor:
    """Attend within each sequence, without dropout; as `accord.kernels.attention.attend`."""
    keys, values = key_value.chunk(2, dim=1)
    q, k, v = (
        x.reshape(plan.mask.shape[0], -1, heads, x.shape[1] // heads).transpose(1, 2)
        for x in (query, keys, values)
    )
    # One row of the mask for each query: onnxruntime broadcasts none.
    mask = plan.mask.expand(-1, -1, q.shape[2], -1)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return torch.flatten(out.transpose(1, 2), 2).flatten(0, 1)
