"""Two halves of a dev split, by what its rows hold: what one half chooses, the other judges."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt


class Segments(Protocol):
    """What holds rows' token ids: a `TokenStore` or a `TextStore`."""

    def segment(self, row: int, which: int) -> npt.NDArray[np.int32]:
        """Return the token ids of a row's first (0) or second (1) text."""


def row_contents(store: Segments, rows: npt.NDArray[np.int64], texts: int) -> list[bytes]:
    """Return what tells each row's texts from others': the SHA-256 of their token ids.

    Args:
        store: holds the rows.
        rows: which.
        texts: of each row, 1 or 2.
    """
    return [_content([store.segment(int(row), i) for i in range(texts)]) for row in rows]


def content_halves(
    contents: Sequence[bytes], labels: npt.NDArray[np.float64]
) -> npt.NDArray[np.int8]:
    """Assign each row of a split to half 0 or half 1.

    Rows of the same content form a group, whose label is their (lower) median label. The groups,
    ordered by label and then by content, go to the halves in turn. So copies of a text never stand
    in both halves, the halves differ by at most one distinct content, and so do the distinct
    contents of each label; nothing but the split itself decides, not the order of its rows either.

    Args:
        contents: of each row, as `row_contents` has them.
        labels: class indices or values, float64 [rows]; finite.

    Returns:
        int8 [rows], 0 or 1.

    Example:
        >>> content_halves([b"a", b"b", b"c", b"a"], np.array([0.0, 0.0, 1.0, 0.0])).tolist()
        [0, 1, 0, 0]
    """
    groups: dict[bytes, list[float]] = {}
    for content, label in zip(contents, labels.tolist(), strict=True):
        groups.setdefault(content, []).append(label)
    order = sorted(groups, key=lambda content: (_lower_median(groups[content]), content))
    half = {content: place % 2 for place, content in enumerate(order)}
    return np.array([half[content] for content in contents], dtype=np.int8)


def _lower_median(values: list[float]) -> float:
    return sorted(values)[(len(values) - 1) // 2]


def _content(segments: Sequence[npt.NDArray[np.int32]]) -> bytes:
    digest = hashlib.sha256()
    for segment in segments:
        digest.update(len(segment).to_bytes(8, "little"))
        digest.update(np.ascontiguousarray(segment, dtype="<i4").tobytes())
    return digest.digest()
