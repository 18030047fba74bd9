"""Attention over sequences whose places are data: for what is recorded once and run again.

On a GPU `flash` runs these plans in bfloat16. This is the formula in operations whose shapes know
only the number of tokens N. It computes all N x N products and drops those of two sequences: a
reference for few tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from accord.kernels.attention.plan import AttentionPlan
from accord.kernels.dropout import DropoutKey, dropout

_APART = -1e30  # a logit that no probability is left of; -inf would make NaN of an empty sequence


@dataclass(frozen=True, kw_only=True)
class SegmentPlan(AttentionPlan):
    """The plan of B sequences, N tokens together, whose starts the device knows.

    Attributes:
        bounds: int32 [B + 1], where sequences start, and N.
        longest: no sequence has more tokens.
        tokens: N.
    """

    bounds: Tensor
    longest: int
    tokens: int

    @classmethod
    def of(cls, bounds: Tensor, longest: int, tokens: int) -> SegmentPlan:
        """Make the plan in which every token is a query."""
        return cls(
            (), False, (), (), (), (), bounds.device, bounds=bounds, longest=longest, tokens=tokens
        )

    def starts(self) -> tuple[Tensor, Tensor, int, int]:
        """Return where sequences start among queries and among keys, and the longest of each."""
        if not self.cls_queries:
            return self.bounds, self.bounds, self.longest, self.longest
        queries = torch.arange(len(self.bounds), dtype=torch.int32, device=self.device)
        return queries, self.bounds, 1, self.longest


def attend(
    query: Tensor, key_value: Tensor, plan: SegmentPlan, heads: int, p: float = 0.0,
    key: DropoutKey | None = None,
) -> Tensor:  # fmt: skip
    """Attend within each sequence; as `accord.kernels.attention.attend`."""
    q, k, v = (
        x.view(len(x), heads, -1).transpose(0, 1) for x in (query, *key_value.chunk(2, dim=1))
    )
    starts_q, starts_k, *_ = plan.starts()
    of_query, of_key = _sequences(len(query), starts_q), _sequences(len(key_value), starts_k)
    logits = q @ k.mT / math.sqrt(q.shape[-1])
    apart = of_query[:, None] != of_key
    shares = logits.masked_fill(apart, _APART).softmax(-1)
    return (dropout(shares, p, key) @ v).transpose(0, 1).flatten(1)


def _sequences(rows: int, starts: Tensor) -> Tensor:
    """Return the sequence that each row is of, int64 [rows]."""
    places = torch.arange(rows, dtype=starts.dtype, device=starts.device)
    return torch.bucketize(places, starts[1:], right=True)
