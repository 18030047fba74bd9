"""The paper's method 2: equal batches until the largest task is used up."""

from __future__ import annotations

import math
from collections.abc import Sequence

from accord.sampling._registry import Budget, EpochShape, equal_shares, rule


@rule(
    "finish-largest",
    paper="BERT Mastery: Explore Multitask Learning, section 3.5, method 2",
    use="The default: all data are seen, and small tasks come several times an epoch.",
    example=(([8544, 16212, 6040], 32), (507, [32, 32, 32])),
    orders=("together",),
)
def finish_largest(sizes: Sequence[int], budget: Budget) -> EpochShape:
    """Draw `batch_size` of each task until the largest is used up; the others come again.

    *Source:* BERT Mastery, section 3.5.

    Args:
        sizes: rows of each task.
        budget: its `batch_size` is each task's share.

    Example:
        >>> finish_largest([100, 400], Budget(batch_size=32)).steps
        13
    """
    return equal_shares(math.ceil(max(sizes) / budget.batch_size), sizes, budget)
