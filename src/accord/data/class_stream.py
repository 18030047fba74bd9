"""A stream of a task's rows in which every class comes equally often: a function of its place."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

_ROUNDS = 64  # whose orders of classes are drawn at once


def class_stream(
    seed: int, name: str, classes: Sequence[np.ndarray], start: int, stop: int
) -> np.ndarray:
    """Return a part of an endless stream of a task's rows, every class equally often.

    The stream goes round by round: in each, every class comes once, in an order that is drawn anew.
    A class's own rows are gone through pass after pass, shuffled anew for each.

    Args:
        seed: of the run.
        name: of the task.
        classes: the rows of each, none of them empty.
        start: of the part.
        stop: its end.

    Example:
        >>> part = class_stream(0, "t", [np.arange(6), np.array([6, 7])], 0, 8)
        >>> np.sort(part[part < 6]).size, np.sort(part[part >= 6]).tolist()
        (4, [6, 6, 7, 7])
    """
    rows = []
    for position in range(start, stop):
        number, place = divmod(position, len(classes))
        order = _orders(seed, name, number // _ROUNDS, len(classes))[number % _ROUNDS]
        which = int(order[place])
        passed, offset = divmod(number, len(classes[which]))
        rows.append(classes[which][_pass(seed, name, which, passed, len(classes[which]))[offset]])
    return np.array(rows, dtype=np.int64)


@lru_cache(maxsize=64)
def _orders(seed: int, name: str, number: int, classes: int) -> np.ndarray:
    """Return the orders of the classes in some rounds, [rounds, classes]."""
    every = np.tile(np.arange(classes), (_ROUNDS, 1))
    return _generator(seed, name, "orders", number).permuted(every, axis=1)


@lru_cache(maxsize=512)
def _pass(seed: int, name: str, which: int, number: int, size: int) -> np.ndarray:
    """Return the order of a class's rows in one of its passes."""
    return _generator(seed, name, f"class {which}", number).permutation(size)


def _generator(seed: int, name: str, what: str, number: int) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(f"{name} {what}".encode()), number])
