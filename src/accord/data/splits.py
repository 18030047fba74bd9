"""A share of a training file, as dev where no dev file is named."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accord.errors import DataError


def dev_split(rows: int, share: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Split row numbers into training and dev rows, both in ascending order.

    It is the same split whatever a run's seed: runs that differ in it are judged by the same rows.

    Args:
        rows: how many rows there are.
        share: the share of dev, between 0 and 1; either side has at least one row.

    Raises:
        DataError: there are fewer than two rows.

    Example:
        >>> train, dev = dev_split(10, 0.2)
        >>> len(train), len(dev)
        (8, 2)
    """
    if rows < 2:
        raise DataError(f"{rows} usable row can't be split into training and dev rows")
    count = min(max(round(rows * share), 1), rows - 1)
    order = np.random.default_rng(0).permutation(rows).astype(np.int64)
    return np.sort(order[count:]), np.sort(order[:count])


def first_rows(count: int, limit: int | None) -> npt.NDArray[np.int64]:
    """Return the rows of a file that are used: all, or the first `limit`.

    Example:
        >>> first_rows(5, 3)
        array([0, 1, 2])
    """
    return np.arange(min(count, limit or count))
