"""What metrics of ranked candidates have in common: one figure a row, and their mean."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from accord.metrics._metric import Array, Floats, Influence
from accord.metrics._ties import tied_places


def by_rank(scores: Array, values: Array) -> tuple[Floats, Floats, Floats]:
    """Return candidates' values in falling order of their scores, and where their ties stand.

    Args:
        scores: [..., n, most]; NaN or -inf behind a row's candidates.
        values: likewise.

    Returns:
        Values, 0 behind the candidates; and of each of them how many candidates have a higher
        score, and how many no lower one; [..., n, most] each.
    """
    falling = np.where(np.isnan(scores), np.inf, -scores.astype(np.float64))
    order, above, through = tied_places(falling)
    values = np.broadcast_to(np.nan_to_num(values.astype(np.float64)), falling.shape)
    ranked = np.take_along_axis(values, order, -1)
    return ranked, above.astype(np.float64), through.astype(np.float64)


def mean_influence(each: Callable[[Array, Array], Floats]) -> Influence:
    """Return the influence on a mean over rows of figures [..., n]."""

    def influence(predictions: Array, targets: Array) -> tuple[Floats, Floats]:
        values = each(predictions, targets)
        mean = values.mean(-1)
        return mean, values - mean[..., None]

    return influence
