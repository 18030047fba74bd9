"""Attention over sequences whose places are data: for what is recorded once and run again.

On a GPU `flash` runs these plans in bfloat16. This is the formula, each sequence padded to the
longest length that there may be: a reference for few tokens. As there, what isn't finite stays in
its sequence, forward and back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from accord.kernels.attention.plan import AttentionPlan
from accord.kernels.dropout import DropoutKey, dropout

_APART = -1e30  # a logit that no share is left of; -inf would make NaN of an empty sequence


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
    starts_q, starts_k, longest_q, longest_k = plan.starts()
    inside = _places(starts_k, longest_k)[1]
    q = _laid_out(query, starts_q, longest_q, heads)
    k, v = (_laid_out(x, starts_k, longest_k, heads) for x in key_value.chunk(2, dim=1))
    logits = q @ k.mT / math.sqrt(q.shape[-1])
    shares = logits.masked_fill(~inside[:, None, None], _APART).softmax(-1)
    attended = (dropout(shares, p, key) @ v).transpose(1, 2).flatten(2)
    return attended.flatten(0, 1).index_select(0, _back(len(query), starts_q, longest_q))


def _places(starts: Tensor, longest: int) -> tuple[Tensor, Tensor]:
    """Return the row at each place of each sequence, [B, longest], and whether there is one."""
    places = starts[:-1, None] + torch.arange(longest, dtype=starts.dtype, device=starts.device)
    return places, places < starts[1:, None]


def _laid_out(x: Tensor, starts: Tensor, longest: int, heads: int) -> Tensor:
    """[rows, H] -> [B, heads, longest, d], 0 where a sequence has no such row."""
    places, inside = _places(starts, longest)
    rows = x.index_select(0, places.clamp(max=len(x) - 1).flatten())
    laid = rows.masked_fill(~inside.flatten()[:, None], 0)
    return laid.view(*places.shape, heads, -1).transpose(1, 2)


def _back(rows: int, starts: Tensor, longest: int) -> Tensor:
    """Return the place of each row, int64 [rows], among all sequences' places."""
    numbers = torch.arange(rows, dtype=starts.dtype, device=starts.device)
    sequence = torch.bucketize(numbers, starts[1:], right=True)
    return sequence * longest + numbers - starts.index_select(0, sequence)
