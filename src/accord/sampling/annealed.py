"""From proportional towards uniform as training goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from accord.sampling._registry import Budget, EpochShape, mixture, rule


@rule(
    "annealed",
    paper="Stickland & Murray 2019, BERT and PALs, section 4.2",
    use="Where large tasks should shape the encoder first, and all tasks matter alike in the end.",
    example=(([100, 400], 8), (32, [3.2, 12.8])),
    needs=("sizes", "epoch"),
    varies=True,
)
def annealed(
    sizes: Sequence[int], budget: Budget, *, drop: Annotated[float, Field(ge=0, le=1)] = 0.8
) -> EpochShape:
    """Draw task i with p_i ∝ N_i^α, α = 1 − 0.8 (e − 1)/(E − 1) in epoch e of E.

    With one epoch α is 1.

    *Source:* Stickland & Murray 2019, section 4.2.

    Args:
        sizes: rows of each task.
        budget: of the run; its epoch counts from 0.
        drop: by how much α falls from the first epoch to the last.

    Example:
        >>> annealed([100, 400], Budget(batch_size=8, epoch=2, epochs=3), drop=1.0).shares
        (8.0, 8.0)
    """
    alpha = 1 - drop * budget.epoch / max(1, budget.epochs - 1)
    return mixture(sizes, budget, [size**alpha for size in sizes])
