"""Multi-head attention over packed sequences.

    attend(query [Q, H], key_value [N, 2H], plan, heads, p, key) -> [Q, H]

Each sequence attends to itself alone: softmax(q kᵀ / √d) v (Vaswani et al. 2017, equation 1).
`formula` goes sequence by sequence, as that reads. `bucketed` groups sequences of similar
length into batched products, with a backward pass of its own; `flash` is a GPU's kernel, and
`padded` is for graphs that other runtimes execute, and `segments` for steps that are recorded.
"""

from __future__ import annotations

import torch
from torch import Tensor

from accord.kernels.attention import bucketed, flash, padded, segments
from accord.kernels.attention.formula import reference
from accord.kernels.attention.plan import AttentionPlan, plan_attention
from accord.kernels.dropout import DropoutKey

__all__ = ["AttentionPlan", "attend", "plan_attention", "reference"]


def attend(
    query: Tensor,
    key_value: Tensor,
    plan: AttentionPlan,
    heads: int,
    p: float = 0.0,
    key: DropoutKey | None = None,
) -> Tensor:
    """Attend within each sequence: by batched products over buckets of similar length.

    In bfloat16 on a GPU, by one kernel without padding where `flash` works.

    Args:
        query: [Q, H], a row for every token, or one per sequence under a CLS plan.
        key_value: [N, 2H], keys then values.
        plan: the batch's.
        heads: number of heads; divides H.
        p: dropout of the attention probabilities.
        key: names the dropout mask; None is evaluation.

    Returns:
        [Q, H].
    """
    if isinstance(plan, padded.PaddedPlan):
        return padded.attend(query, key_value, plan, heads)
    if query.is_cuda and query.dtype == torch.bfloat16 and flash.works(query.device):
        return flash.attend(query, key_value, plan, heads, p, key)
    if isinstance(plan, segments.SegmentPlan):
        return segments.attend(query, key_value, plan, heads, p, key)
    return bucketed.attend(query, key_value, plan, heads, p, key)
