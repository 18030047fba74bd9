"""The paper's method 1: as many batches as the largest task fills, all tasks in proportion."""

from __future__ import annotations

import math
from collections.abc import Sequence

from accord.sampling._registry import Budget, EpochShape, rule


@rule(
    "proportional",
    paper="BERT Mastery: Explore Multitask Learning, section 3.5, method 1",
    use="To see every row of every task once an epoch; small tasks get few examples per step.",
    example=(([8544, 16212, 6040], 32), (507, [17, 32, 12])),
    orders=("together",),
    balancing="inverse-share",
)
def proportional(sizes: Sequence[int], budget: Budget) -> EpochShape:
    """Fix the number of batches, and group the data proportionally.

    The largest task's rows over `batch_size` are the steps; each task's rows over the steps are
    its share b_t, all rounded up. The paper weighs the losses with it (its equation 2): that is
    the balancing rule `inverse-share`, this rule's default.

    *Source:* BERT Mastery, section 3.5.

    Args:
        sizes: rows of each task.
        budget: its `batch_size` is the largest task's share.

    Example:
        >>> proportional([100, 400], Budget(batch_size=32))
        EpochShape(steps=13, shares=(8.0, 31.0), order='together', restarts=True)
    """
    steps = math.ceil(max(sizes) / budget.batch_size)
    shares = tuple(float(math.ceil(size / steps)) for size in sizes)
    return EpochShape(min(steps, budget.steps or steps), shares, restarts=True)
