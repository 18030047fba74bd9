"""A share of a training file, as dev where no dev file is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from accord.errors import DataError

FEW = 3
"""Dev rows that a class has at least, where three times as many are left to train on."""

_TOLERANCE = 0.1  # of the dev rows that a class is to have
_BINS = 10

Rows = npt.NDArray[np.int64]
Groups = npt.NDArray[np.uint64]


def dev_split(
    groups: Groups, labels: npt.NDArray[Any] | None, share: float, *, classes: bool = True
) -> tuple[Rows, Rows]:
    """Split rows into training and dev rows; those of one group stay together.

    A group is dev where its hash, as a number from 0 to 1, is below `share`. So whether a row is
    dev depends on its group alone, not on the seed, the task, the order of rows or the other rows.
    Only groups next to that threshold are moved, as few as bring each class's dev rows to

        n share ± max(1/2, n share / 10), and at least min(3, n // 4),  n the class's rows.

    The rarest class is looked at first and a group counts as of the rarest of its classes (the
    order of Sechidis et al. 2011, On the Stratification of Multi-Label Data, section 3). Where
    groups are so large that none fits, a class may have more or fewer.

    Args:
        groups: what distinguishes each row's group from others, uint64 [rows].
        labels: class indices or values, [rows]. Classes of values are tenths of the rows,
            ranked, or larger parts that should have 3 dev rows each. None where there are none: all
            rows are of one class, of which one dev row is enough.
        share: the share of dev, between 0 and 1; either side has at least one group.
        classes: whether labels are class indices.

    Returns:
        Row numbers of training and of dev, int64, ascending.

    Raises:
        DataError: there are fewer than two groups.

    Example:
        >>> train, dev = dev_split(np.arange(20, dtype=np.uint64), np.arange(20) % 2.0, 0.3)
        >>> len(train), len(dev)
        (14, 6)
    """
    hashes, group_of = np.unique(_mixed(groups), return_inverse=True)
    if len(hashes) < 2:
        raise DataError("rows of fewer than two groups can't be split into training and dev rows")
    dev = hashes < np.uint64(int(share * 2**64))
    strata = _strata(labels, len(groups), share, classes)
    _stratify(dev, group_of, strata, share, 1 if labels is None else FEW)
    chosen = dev[group_of]
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def _mixed(groups: Groups) -> Groups:
    """Return hashes whose every bit depends on all bits of a group: splitmix64's finaliser."""
    mixed = groups + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


def _strata(labels: npt.NDArray[Any] | None, rows: int, share: float, classes: bool) -> Rows:
    """Return each row's class; of values, which part of the ranked rows it is in."""
    if labels is None:
        return np.zeros(rows, dtype=np.int64)
    if classes:
        return labels.astype(np.int64)
    bins = min(_BINS, max(1, int(rows * share / FEW)))
    edges = np.quantile(labels, np.arange(1, bins) / bins, method="inverted_cdf")
    return np.searchsorted(np.unique(edges), labels).astype(np.int64)


def _stratify(
    dev: npt.NDArray[np.bool_], group_of: Rows, strata: Rows, share: float, least: int
) -> None:
    """Move groups to the other side until each class has its dev rows; see `dev_split`.

    Args:
        dev: whether each group is, in the order of hashes; changed in place.
        group_of: each row's group.
        strata: each row's class.
        share: of dev.
        least: dev rows of a class that is four times as large or larger.
    """
    sizes = np.bincount(strata)
    rarest_first = np.argsort(sizes, kind="stable")
    rank = np.argsort(rarest_first)[strata]
    rarest = np.full(len(dev), len(sizes))
    np.minimum.at(rarest, group_of, rank)
    weights = np.bincount(group_of[rarest[group_of] == rank], minlength=len(dev))
    rows, groups = np.argsort(rank, kind="stable"), np.argsort(rarest, kind="stable")
    numbers = np.arange(len(sizes) + 1)
    row_ends = np.searchsorted(rank[rows], numbers)
    group_ends = np.searchsorted(rarest[groups], numbers)
    for i, size in enumerate(sizes[rarest_first].tolist()):
        count = int(dev[group_of[rows[row_ends[i] : row_ends[i + 1]]]].sum())
        movable = groups[group_ends[i] : group_ends[i + 1]]
        _move(dev, movable, weights, count, _bounds(size, share, least))
    commonest = np.flatnonzero(rarest == rarest.max())
    if not dev.any():
        dev[commonest[np.argmin(weights[commonest])]] = True
    elif dev.all():
        dev[commonest[np.argmin(weights[commonest])]] = False


def _bounds(rows: int, share: float, least: int) -> tuple[int, int]:
    """Return the fewest and the most dev rows of a class; one row at least is trained on."""
    wanted, few = rows * share, min(least, rows // 4)
    within = max(0.5, wanted * _TOLERANCE)
    most = max(0, rows - max(1, few))
    high = min(max(int(wanted + within), few), most)
    return min(max(int(np.ceil(wanted - within)), few), high), high


def _move(
    dev: npt.NDArray[np.bool_], groups: Rows, weights: Rows, count: int, bounds: tuple[int, int]
) -> None:
    """Move groups, those next to the threshold first, until a class's dev rows are within bounds.

    Args:
        dev: whether each group is; changed in place.
        groups: those that may be moved, in the order of hashes.
        weights: rows of the class in each group.
        count: the class's dev rows.
        bounds: the fewest and the most there should be.
    """
    low, high = bounds
    for group in groups[dev[groups]][::-1].tolist():
        if count <= high:
            break
        dev[group] = False
        count -= int(weights[group])
    for group in groups[~dev[groups]].tolist():
        if count >= low:
            break
        if count + weights[group] <= high:
            dev[group] = True
            count += int(weights[group])
    if count == 0 < low and len(groups):  # all are too large
        lightest = groups[np.argmin(weights[groups])]
        dev[lightest] = 2 * weights[lightest] <= weights[groups].sum()
