"""All tasks equally often, whatever their size."""

from __future__ import annotations

from collections.abc import Sequence

from accord.sampling._registry import Budget, EpochShape, mixture, rule


@rule(
    "uniform",
    paper="Raffel et al. 2020, section 3.5.2, equal mixing; temperature sampling with τ → ∞",
    use="Where tasks matter alike and the small ones can bear to be repeated.",
    example=(([8544, 16212, 6040], 32), (321, [32, 32, 32])),
)
def uniform(sizes: Sequence[int], budget: Budget) -> EpochShape:
    """Draw every task with p_i = 1/T.

    An epoch draws as many examples as there are, Σ N_i.

    *Source:* the limit τ → ∞ of temperature sampling, Raffel et al. 2020, section 3.5.2.

    Args:
        sizes: rows of each task.
        budget: of the run.

    Example:
        >>> uniform([100, 300], Budget(batch_size=8)).shares
        (8.0, 8.0)
    """
    return mixture(sizes, budget, [1.0] * len(sizes))
