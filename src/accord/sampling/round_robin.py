"""One task per step, in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from accord.sampling._registry import Budget, EpochShape, rule


@rule(
    "round-robin",
    paper="Dong et al. 2015, Multi-Task Learning for Multiple Language Translation",
    use="As a baseline: steps of one task can't be combined by a gradient method.",
    example=(([100, 300], 8), (50, [4, 4])),
    orders=("cyclic",),
)
def round_robin(sizes: Sequence[int], budget: Budget) -> EpochShape:
    """Give each step to one task, in turn: `batch_size` examples of it.

    An epoch draws as many examples as there are, Σ N_i. A share is an average over steps.

    *Source:* Dong et al. 2015, who alternate between tasks.

    Args:
        sizes: rows of each task.
        budget: of the run.

    Example:
        >>> round_robin([100, 300], Budget(batch_size=8, one_task=True)).shares
        (4.0, 4.0)
    """
    alone = replace(budget, one_task=True)
    shares = (budget.batch_size / len(sizes),) * len(sizes)
    return EpochShape(alone.one_pass(sizes), shares, "cyclic")
