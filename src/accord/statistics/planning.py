"""Power: the smallest difference that runs and rows can show, and how many a difference takes.

The variances are taken as they were estimated, so these are plans and no promises: of two or three
runs the variance over seeds is known to a factor of several.
"""

from __future__ import annotations

import math
from dataclasses import replace

from accord.errors import UsageError
from accord.statistics.crossed import Difference
from accord.statistics.quantile import half_width

POWER = 0.8
MOST_ROWS = 10**9


def detectable(difference: Difference, level: float, power: float = POWER) -> float:
    """Return the smallest true difference that an interval would show with a given power.

    δ with P(T > q) = power, T noncentral t with noncentrality δ / se; q is the interval's half-
    width in standard errors, and T has the degrees of freedom at which q is Student's quantile.

    *Source:* Cohen 1988, Statistical Power Analysis, chapter 2, for a plain t.

    Args:
        difference: whose variances count.
        level: of the interval, in (0, 1).
        power: in (0, 1).

    Returns:
        On the metric's scale; inf where the variance over seeds is not known.

    Example:
        >>> found = Difference(0.0, 1e-4, 0.0, 0.0, 4, 99, (), (), (0.0, 0.1), (), 100)
        >>> round(detectable(found, 0.95), 4)
        0.0376
    """
    from scipy.special import nctdtrinc

    if not (0 < level < 1 and 0 < power < 1):
        raise UsageError(f"level and power should be between 0 and 1, got {level} and {power}")
    if not difference.seeds_known:
        return math.inf
    if difference.error == 0:
        return 0.0
    quantile = difference.margin(level) / difference.error
    freedom = _freedom(quantile, 1 - level)
    return difference.error * float(nctdtrinc(freedom, 1 - power, quantile))


def seeds_needed(
    difference: Difference, level: float, effect: float = 0.01, power: float = POWER,
    most: int = 100,
) -> int | None:  # fmt: skip
    """Return how many seeds per side would show a true difference, on the same rows.

    V_S falls as 1 / seeds, V_R stays. Seeds are taken as paired as they are: with S − 1 degrees
    of freedom where any is shared, 2S − 2 otherwise.

    Args:
        difference: whose variances count.
        level: of the interval.
        effect: the true difference, above 0, on the metric's scale.
        power: in (0, 1).
        most: seeds per side that are thought of.

    Returns:
        None where even `most` seeds do not show it, as then the rows are too few
        (`rows_needed`); None also where the variance over seeds is not known.
    """
    if not difference.seeds_known:
        return None
    counts = range(2, most + 1)
    return next(
        (n for n in counts if _shows(with_seeds(difference, n), level, effect, power)), None
    )


def rows_needed(
    difference: Difference, level: float, effect: float = 0.01, power: float = POWER,
    seeds: int | None = None,
) -> int | None:  # fmt: skip
    """Return how many rows would show a true difference.

    V_R and the interaction within V_S fall as 1 / rows, the rest of V_S stays. Of a mean over
    tasks it is the rows of all of them, in today's proportions.

    Args:
        difference: whose variances count.
        level: of the interval.
        effect: the true difference, above 0, on the metric's scale.
        power: in (0, 1).
        seeds: a side; default as many as now.

    Returns:
        None where no number of rows shows it, or the variance over seeds is not known.
    """
    if not difference.seeds_known:
        return None
    base = difference if seeds is None else with_seeds(difference, seeds)
    if not _shows(with_rows(base, MOST_ROWS), level, effect, power):
        return None
    low, high = 1, MOST_ROWS
    while low < high:
        middle = (low + high) // 2
        if _shows(with_rows(base, middle), level, effect, power):
            high = middle
        else:
            low = middle + 1
    return low


def with_seeds(difference: Difference, seeds: int) -> Difference:
    """Return a difference with the variances it would have with this many seeds per side."""
    ours = len(difference.ours)
    theirs = len(difference.theirs) if difference.their_seeds else ours
    now = 2 / (1 / ours + 1 / theirs)
    paired = difference.pairs > 0 or not difference.their_seeds
    return replace(
        difference,
        seed_variance=difference.seed_variance * now / seeds,
        interaction_variance=difference.interaction_variance * now / seeds,
        seed_freedom=float(seeds - 1 if paired else 2 * seeds - 2),
    )


def with_rows(difference: Difference, rows: int) -> Difference:
    """Return a difference with the variances it would have with this number of rows."""
    share = difference.rows / rows
    interaction = min(difference.interaction_variance, difference.seed_variance)
    return replace(
        difference,
        seed_variance=difference.seed_variance - interaction + interaction * share,
        row_variance=difference.row_variance * share,
        interaction_variance=interaction * share,
        row_freedom=max(difference.row_freedom / share, 1.0),
        rows=rows,
    )


def _shows(difference: Difference, level: float, effect: float, power: float) -> bool:
    if effect <= 0:
        raise UsageError(f"the effect to be shown should be above 0, got {effect}")
    return detectable(difference, level, power) <= effect


def _freedom(quantile: float, p: float) -> float:
    """The degrees of freedom at which |t| exceeds a quantile with probability p."""
    from scipy.optimize import brentq

    def excess(log_freedom: float) -> float:
        return float(half_width(p, 1.0, math.exp(log_freedom), 0.0, 1.0)) - quantile

    low, high = math.log(0.5), math.log(1e7)
    return math.exp(brentq(excess, low, high)) if excess(high) < 0 < excess(low) else math.exp(high)
