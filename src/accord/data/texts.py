"""The texts of several token stores as one: one row per text, without labels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accord.data.examples import BadRow
from accord.data.store import TokenStore
from accord.errors import DataError


@dataclass(frozen=True)
class TextSource:
    """Some rows of a store, all of whose texts are used.

    Attributes:
        name: of the task that they are of; empty for a file of the task's own.
        store: holds them.
        rows: which.
    """

    name: str
    store: TokenStore
    rows: npt.NDArray[np.int64]


class TextStore:
    """Rows of one text each, with what a `TokenStore` has; texts without a token are left out.

    Args:
        sources: in the order in which their texts stand, a row's texts next to each other.
        name: of the task, for messages.

    Attributes:
        labels: uint8 `[rows]`, zeros.
        text_counts: int64 `[rows]`, ones.
        lengths: int64 `[rows, 1]`, in tokens.
        exact_hashes: uint64 `[rows, 1]`.
        normalised_hashes: uint64 `[rows, 1]`.
        groups: uint64 `[rows]`, of the rows that texts are of.
        skipped: rows of a file of the task's own that could not be used.
        notes: on the files as a whole, as in `TokenStore`.
        fingerprint: SHA-256 of what it is made of.

    Raises:
        DataError: there is no text with a token.
    """

    def __init__(self, sources: Sequence[TextSource], name: str) -> None:
        self._sources = list(sources)
        parts = [_places(number, source) for number, source in enumerate(self._sources)]
        self._places = np.concatenate(parts)
        if not len(self._places):
            raise DataError(f"task '{name}': there is no text to learn from")
        self.text_counts = np.ones(len(self._places), dtype=np.int64)
        self.lengths: npt.NDArray[np.int64] = self._gathered(lambda store: store.lengths)
        self.exact_hashes: npt.NDArray[np.uint64] = self._gathered(lambda store: store.exact_hashes)
        self.normalised_hashes: npt.NDArray[np.uint64] = self._gathered(
            lambda store: store.normalised_hashes
        )
        self.groups: npt.NDArray[np.uint64] = np.concatenate([
            source.store.groups[part[:, 1]]
            for source, part in zip(self._sources, parts, strict=True)
        ])  # fmt: skip
        self.labels: npt.NDArray[Any] = np.zeros(len(self._places), dtype=np.uint8)
        self.skipped: list[BadRow] = [
            bad for source in self._sources if not source.name for bad in source.store.skipped
        ]
        self.notes: list[tuple[str, str, str]] = [
            note for source in self._sources for note in source.store.notes
        ]
        digest = hashlib.sha256()
        for source in self._sources:
            rows = np.ascontiguousarray(source.rows, dtype="<i8").tobytes()
            digest.update(f"{source.name} {source.store.fingerprint}".encode() + rows)
        self.fingerprint = digest.hexdigest()

    def __len__(self) -> int:
        return len(self._places)

    def row_name(self, row: int) -> str:
        """Return what a message calls a text: `TASK:ID`, or `TASK:ID:1`, `TASK:ID:2` of several.

        A row without an id is called by its line.
        """
        number, place_in_store, which = self._places[row].tolist()
        source = self._sources[number]
        parts = [source.name] if source.name else []
        parts.append(source.store.row_name(place_in_store))
        if source.store.text_counts[place_in_store] > 1:
            parts.append(str(which + 1))
        return ":".join(parts)

    def segment(self, row: int, which: int) -> npt.NDArray[np.int32]:
        """Return the token ids of a row's text; `which` is 0."""
        number, place_in_store, place = self._places[row].tolist()
        segment: npt.NDArray[np.int32] = self._sources[number].store.segment(
            place_in_store, place + which
        )
        return segment

    def count(self, token: int) -> npt.NDArray[np.int64]:
        """Return how often a token stands in each text: [rows, 1]."""
        return self._gathered(lambda store: store.count(token))

    def _gathered(self, values: Callable[[TokenStore], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        parts = []
        for number, source in enumerate(self._sources):
            places = self._places[self._places[:, 0] == number]
            parts.append(values(source.store)[places[:, 1], places[:, 2]])
        return np.concatenate(parts)[:, None]


def _places(number: int, source: TextSource) -> npt.NDArray[np.int64]:
    """Return (number of the source, row, which text) of each text: int64 [texts, 3]."""
    lengths = source.store.lengths[source.rows]
    at, which = np.nonzero(lengths)
    return np.stack([np.full_like(at, number), source.rows[at], which], axis=1)
