"""The paper's method 3: equal batches until the smallest task is used up."""

from __future__ import annotations

import math
from collections.abc import Sequence

from accord.sampling._registry import Budget, EpochShape, equal_shares, rule


@rule(
    "finish-smallest",
    paper="BERT Mastery: Explore Multitask Learning, section 3.5, method 3",
    use="Short epochs; each sees another part of the larger tasks.",
    example=(([8544, 16212, 6040], 32), (189, [32, 32, 32])),
    orders=("together",),
)
def finish_smallest(sizes: Sequence[int], budget: Budget) -> EpochShape:
    """Draw `batch_size` of each task until the smallest is used up; the rest is shuffled anew.

    *Source:* BERT Mastery, section 3.5.

    Args:
        sizes: rows of each task.
        budget: its `batch_size` is each task's share.

    Example:
        >>> finish_smallest([100, 400], Budget(batch_size=32)).steps
        4
    """
    return equal_shares(math.ceil(min(sizes) / budget.batch_size), sizes, budget)
