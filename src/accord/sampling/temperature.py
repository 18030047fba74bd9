"""Between proportional and uniform, by a temperature and a cap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from accord.sampling._registry import Budget, EpochShape, mixture, rule


@rule(
    "temperature",
    paper="Raffel et al. 2020, Exploring the Limits of Transfer Learning, section 3.5.2",
    use="Where sizes differ widely: lifts small tasks without making them equal.",
    example=(([100, 400], 9), (28, [6, 12])),
)
def temperature(
    sizes: Sequence[int],
    budget: Budget,
    *,
    tau: Annotated[float, Field(ge=1)] = 2.0,
    cap: Annotated[int, Field(ge=1)] | None = None,
) -> EpochShape:
    """Draw task i with p_i ∝ min(N_i, K)^(1/τ).

    *Source:* Raffel et al. 2020, section 3.5.2.

    Args:
        sizes: rows of each task.
        budget: of the run.
        tau: τ; 1 is proportional, large values approach uniform.
        cap: K, an artificial limit on a task's rows; None is none.

    Example:
        >>> temperature([100, 400, 10_000], Budget(batch_size=8), tau=2.0, cap=400).shares
        (4.8, 9.6, 9.6)
    """
    return mixture(sizes, budget, [min(size, cap or size) ** (1 / tau) for size in sizes])
