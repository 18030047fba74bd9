"""Tasks in proportion to their rows."""

from __future__ import annotations

from collections.abc import Sequence

from accord.sampling._registry import Budget, EpochShape, mixture, rule


@rule(
    "by-size",
    paper="Raffel et al. 2020, Exploring the Limits of Transfer Learning, section 3.5.2",
    use="Where every row should count alike, and no row be repeated before all were seen.",
    example=(([100, 300], 8), (25, [4, 12])),
)
def by_size(sizes: Sequence[int], budget: Budget) -> EpochShape:
    """Draw task i with p_i ∝ N_i: proportional sampling.

    The paper's method 1 (`proportional`) draws in the same proportion, and rounds each share up.

    *Source:* Raffel et al. 2020, section 3.5.2, examples-proportional mixing without a limit.

    Args:
        sizes: rows of each task.
        budget: of the run.

    Example:
        >>> by_size([100, 300], Budget(batch_size=8)).shares
        (4.0, 12.0)
    """
    return mixture(sizes, budget, list(sizes))
