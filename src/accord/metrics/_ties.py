"""Where numbers stand in their order, with those that are equal."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accord.metrics._metric import Floats

Places = npt.NDArray[np.intp]


def tied_places(x: Floats) -> tuple[Places, Places, Places]:
    """Return the order of numbers along the last axis, and the places of each one's ties.

    Args:
        x: [..., n], without NaN.

    Returns:
        The places of `x` in rising order, [..., n]; and of each number in that order, how many are
        below it, and how many are not above it.

    Example:
        >>> [each.tolist() for each in tied_places(np.array([3.0, 1.0, 3.0]))]
        [[1, 0, 2], [0, 1, 1], [1, 3, 3]]
    """
    n = x.shape[-1]
    order = np.argsort(x, axis=-1, kind="stable")
    rising = np.take_along_axis(x, order, -1)
    first = np.ones(x.shape, bool)
    first[..., 1:] = rising[..., 1:] > rising[..., :-1]
    last = np.ones(x.shape, bool)
    last[..., :-1] = first[..., 1:]
    places = np.arange(n)
    below = np.maximum.accumulate(np.where(first, places, 0), -1)
    through = np.minimum.accumulate(np.where(last, places + 1, n)[..., ::-1], -1)[..., ::-1]
    return order, below, through
