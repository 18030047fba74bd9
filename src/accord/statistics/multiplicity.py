"""Several comparisons at once: which of them show something, and at what level each is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from accord.errors import UsageError

ALPHA = 0.05


@dataclass(frozen=True)
class Step:
    """Holm's result for one comparison.

    Attributes:
        rejected: whether a difference is shown.
        p: adjusted; rejected where it is below α.
        level: of the interval to show; it leaves 0 out exactly where `rejected`.
    """

    rejected: bool
    p: float
    level: float


def holm(p_values: Sequence[float], alpha: float = ALPHA) -> list[Step]:
    """Decide over a family so that a false rejection anywhere has a chance of at most α.

    With the p-values sorted, p₍₁₎ ≤ … ≤ p₍ₘ₎, the i-th is rejected where it and all before it
    have p₍ᵢ₎ < α / (m − i + 1); its adjusted p is max over j ≤ i of (m − j + 1) p₍ⱼ₎, at most 1.

    A rejected one is shown at level 1 − α / (m − i + 1), any other at Bonferroni's 1 − α / m.
    That agrees with the decision wherever an interval of level 1 − q leaves 0 out exactly if
    p < q: a rejected one has p₍ᵢ₎ < α / (m − i + 1) by definition. If k is the first that is not
    rejected, each one not rejected has p ≥ p₍ₖ₎ ≥ α / (m − k + 1) ≥ α / m, so its interval holds
    0. The intervals at Bonferroni's level cover all their true differences at once with
    probability 1 − α at least, so that 'as good' read from them is false with at most α.

    *Source:* Holm 1979, A simple sequentially rejective multiple test procedure, Scand. J. Stat. 6.

    Args:
        p_values: of the family, each in [0, 1].
        alpha: the chance of any false rejection, in (0, 1).

    Raises:
        UsageError: a p or α that is no probability.

    Example:
        >>> for step in holm([0.02, 0.001, 0.3]):
        ...     print(step.rejected, round(step.p, 3), round(step.level, 4))
        True 0.04 0.975
        True 0.003 0.9833
        False 0.3 0.9833
    """
    if not 0 < alpha < 1 or not all(0 <= p <= 1 for p in p_values):
        raise UsageError(f"alpha and p-values should be probabilities, got {alpha}, {p_values}")
    count = len(p_values)
    steps: list[Step | None] = [None] * count
    rejecting, adjusted = True, 0.0
    for i, place in enumerate(sorted(range(count), key=p_values.__getitem__)):
        threshold = alpha / (count - i)
        rejecting = rejecting and p_values[place] < threshold
        adjusted = min(1.0, max(adjusted, (count - i) * p_values[place]))
        level = 1 - (threshold if rejecting else alpha / count)
        steps[place] = Step(rejecting, adjusted, level)
    return [step for step in steps if step is not None]
