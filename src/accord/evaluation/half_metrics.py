"""A metric of rows whose predictions come from two cross-fitting halves."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

LEAST_ROWS = 2
"""A cross-fitting half with fewer rows has no correlation, and no part in the metric."""


def weighted_halves(halves: npt.NDArray[Any]) -> list[tuple[npt.NDArray[np.bool_], float]]:
    """Return the rows of each half that a correlation is taken within, and what it weighs.

    Of the halves that have at least `LEAST_ROWS` rows, n_h of n, the weights are n_h / Σ n_h.

    Args:
        halves: 0 or 1 for each row [n].

    Returns:
        A mask [n] and a weight for each such half; the weights sum to 1. Nothing if there is none.

    Example:
        >>> [(rows.tolist(), weight) for rows, weight in weighted_halves(np.array([0, 1, 0, 0]))]
        [([True, False, True, True], 1.0)]
    """
    masks = [halves == half for half in np.unique(halves)]
    masks = [mask for mask in masks if mask.sum() >= LEAST_ROWS]
    total = sum(int(mask.sum()) for mask in masks)
    return [(mask, int(mask.sum()) / total) for mask in masks]
