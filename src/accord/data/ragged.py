"""Rows of different lengths, stored end to end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Ragged:
    """Rows of values; some of them are an array, as wide as the widest.

    Attributes:
        values: of all rows, [total].
        counts: how many are each row's, [rows].
        fill: stands behind those of the others.

    Example:
        >>> Ragged(np.array([1, 2, 3]), np.array([2, 0, 1]), -1)[np.array([2, 0])]
        array([[ 3, -1],
               [ 1,  2]])
    """

    values: Array
    counts: Counts
    fill: float

    def __len__(self) -> int:
        return len(self.counts)

    @cached_property
    def _starts(self) -> Counts:
        return self.counts.cumsum() - self.counts

    def __getitem__(self, rows: Counts) -> Array:
        chosen = self.values[places(self._starts[rows], self.counts[rows])]
        return padded(chosen, self.counts[rows], self.fill)


def padded(values: Array, counts: Counts, fill: float) -> Array:
    """Return values that stand end to end as rows, [rows, most], the shorter ones padded.

    Args:
        values: [total].
        counts: how many are each row's, [rows].
        fill: of the values' dtype.
    """
    most = int(counts.max(initial=0))
    if (counts == most).all():
        return values.reshape(len(counts), most)
    rows = np.full((len(counts), most), fill, dtype=values.dtype)
    rows[np.arange(most) < counts[:, None]] = values
    return rows


def places(starts: Counts, counts: Counts) -> Counts:
    """Return the numbers from each start on, as many as it counts, end to end.

    Example:
        >>> places(np.array([5, 0]), np.array([2, 3])).tolist()
        [5, 6, 0, 1, 2]
    """
    before = counts.cumsum() - counts
    return np.repeat(starts - before, counts) + np.arange(counts.sum())


def ranges(counts: Counts, chosen: Counts | Sequence[int]) -> Counts:
    """Return the numbers of chosen rows' values among those of all rows, which stand end to end.

    Args:
        counts: how many values each row has, [rows].
        chosen: the rows, in any order.

    Example:
        >>> ranges(np.array([2, 0, 3]), [2, 0]).tolist()
        [2, 3, 4, 0, 1]
    """
    chosen = np.asarray(chosen, dtype=np.int64)
    return places((counts.cumsum() - counts)[chosen], counts[chosen])
