"""Long series made short enough to draw."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Point = tuple[float, float]


def thin(count: int, most: int) -> npt.NDArray[np.int64]:
    """Return at most `most` of the indices below `count`, evenly spaced, first and last among them.

    Example:
        >>> thin(10, 4).tolist(), thin(3, 4).tolist()
        ([0, 3, 6, 9], [0, 1, 2])
    """
    if count <= most:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, max(most, 2)).round().astype(np.int64))


def choose(count: int, most: int) -> npt.NDArray[np.int64]:
    """Return at most `most` of the indices below `count`, drawn by a fixed seed, in order.

    Evenly spaced ones could all hit the same place of a file that repeats itself.
    """
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).permutation(count)[:most])


def bin_count(measured: int, most: int) -> int:
    """Return into how many bins to put some measurements: ten in each, where there are enough.

    Single measurements are mostly noise; but a line has four points if it can.

    Example:
        >>> bin_count(3, 100), bin_count(20, 100), bin_count(500, 100), bin_count(9_000, 100)
        (3, 4, 50, 100)
    """
    return min(most, max(min(measured, 4), measured // 10))


def bin_means(points: Sequence[Point], end: float, bins: int) -> Floats:
    """Return the mean of y in each of some equally wide bins of x in (0, end]; NaN where empty.

    Example:
        >>> bin_means([(1, 2.0), (2, 4.0), (4, 5.0)], end=4, bins=2).tolist()
        [3.0, 5.0]
    """
    sums, counts = np.zeros(bins), np.zeros(bins)
    if points:
        x, y = np.array(points, dtype=np.float64).T
        # Step s ends at x = s, so a bin holds its upper edge; 1e-9 forgives rounding there.
        index = np.clip(np.ceil(x / end * bins - 1e-9).astype(int) - 1, 0, bins - 1)
        np.add.at(sums, index, y)
        np.add.at(counts, index, 1)
    means: Floats = np.divide(sums, counts, out=np.full(bins, np.nan), where=counts > 0)
    return means


def spread(rows: Sequence[Floats]) -> tuple[Floats, Floats, Floats]:
    """Return mean, lowest and highest over rows of one length, place by place, NaN left out."""
    stacked = np.stack(rows)
    with warnings.catch_warnings():  # a place without a value is NaN in all three
        warnings.simplefilter("ignore", RuntimeWarning)
        return (
            np.nanmean(stacked, axis=0), np.nanmin(stacked, axis=0), np.nanmax(stacked, axis=0)
        )  # fmt: skip
