"""Two halves of a dev split, by its rows' contents: what one chooses is evaluated on the other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from accord.metrics import LEAST_ROWS

SMALL = 64
"""Distinct contents; each label of a split with fewer is balanced as well."""


class Segments(Protocol):
    """What holds rows' token ids: a `TokenStore` or a `TextStore`."""

    text_counts: npt.NDArray[np.int64]

    def segment(self, row: int, which: int) -> npt.NDArray[np.int32]:
        """Return the token ids of a row's text, counted from 0."""


def row_contents(store: Segments, rows: npt.NDArray[np.int64]) -> list[bytes]:
    """Return what distinguishes each row's texts from others': the SHA-256 of their token ids.

    Args:
        store: holds the rows.
        rows: which.
    """
    return [
        _content([store.segment(row, i) for i in range(count)])
        for row, count in zip(rows.tolist(), store.text_counts[rows].tolist(), strict=True)
    ]


def content_halves(
    contents: Sequence[bytes], labels: npt.NDArray[Any] | None
) -> npt.NDArray[np.int8]:
    """Assign each row of a split to half 0 or half 1.

    The half is the last bit of the content: of a hash, so as good as drawn by a fair coin. Copies
    of a text stand in one half, and so do rows of the same content in two tasks, whatever other
    tasks a run has and in whatever order rows stand: what one half chooses has seen no label, of
    any task, that stands in the other half. Halves are then equal in size except by chance, and
    `_balance` moves a few contents of a split where they would be too unequal to choose by. That
    is the price: those few may stand in another half than in another task. It befalls small splits;
    of those with 64 contents one in 40,000, and fewer of larger ones.

    Args:
        contents: of each row, as `row_contents` has them.
        labels: class indices or values, [rows], finite; None where rows are all alike.

    Returns:
        int8 [rows], 0 or 1. Of n distinct contents at least n // 4, and two if n is 4 or more,
        stand in either half; below `SMALL` contents likewise n // 4 of each label's, and one if
        there are 2 or more.

    Example:
        >>> content_halves([b"d", b"a", b"b", b"c", b"a"], np.zeros(5)).tolist()
        [0, 1, 0, 1, 1]
    """
    groups: dict[bytes, list[float]] = {}
    values = [0.0] * len(contents) if labels is None else labels.tolist()
    for content, label in zip(contents, values, strict=True):
        groups.setdefault(content, []).append(label)
    half = {content: content[-1] & 1 for content in sorted(groups)}
    _balance(half, {content: _lower_median(group) for content, group in groups.items()})
    return np.array([half[content] for content in contents], dtype=np.int8)


def few_rows_note(halves: npt.NDArray[np.int8]) -> str:
    """Say that a dev split is too small to be cross-fitted; empty where it isn't.

    Example:
        >>> few_rows_note(np.array([0, 1], dtype=np.int8))
        '2 dev rows are too few to cross-fit: by half of them all epochs may seem alike'
        >>> few_rows_note(np.array([0, 1, 1, 0], dtype=np.int8))
        ''
    """
    if min((halves == half).sum() for half in (0, 1)) >= LEAST_ROWS:
        return ""
    rows = f"{len(halves)} dev rows are" if len(halves) != 1 else "1 dev row is"
    return f"{rows} too few to cross-fit: by half of them all epochs may seem alike"


def _balance(half: dict[bytes, int], label_of: Mapping[bytes, float]) -> None:
    """Move as few contents, in their order, as give each half its least; see `content_halves`."""
    contents_of: dict[float, list[bytes]] = {}
    for content in half:
        contents_of.setdefault(label_of[content], []).append(content)
    small = len(half) < SMALL
    least = {label: max(len(contents) // 4, min(1, len(contents) // 2)) if small else 0
             for label, contents in contents_of.items()}  # fmt: skip
    for label, contents in contents_of.items():
        _move(half, contents, least[label])

    def spare(content: bytes) -> bool:
        label = label_of[content]
        return sum(half[other] == half[content] for other in contents_of[label]) > least[label]

    _move(half, list(half), max(len(half) // 4, min(2, len(half) // 2)), spare)


def _move(
    half: dict[bytes, int],
    contents: Sequence[bytes],
    least: int,
    spare: Callable[[bytes], bool] = lambda content: True,
) -> None:
    """Move the first contents that can be spared, until `least` stand in each half."""
    ones = sum(half[content] for content in contents)
    few, fewer = (1, ones) if 2 * ones < len(contents) else (0, len(contents) - ones)
    for content in contents:
        if fewer >= least:
            return
        if half[content] != few and spare(content):
            half[content] = few
            fewer += 1


def _lower_median(values: list[float]) -> float:
    return sorted(values)[(len(values) - 1) // 2]


def _content(segments: Sequence[npt.NDArray[np.int32]]) -> bytes:
    digest = hashlib.sha256()
    for segment in segments:
        digest.update(len(segment).to_bytes(8, "little"))
        digest.update(np.ascontiguousarray(segment, dtype="<i4").tobytes())
    return digest.digest()
