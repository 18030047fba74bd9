"""What a task of a model folder was made from, and when."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

_MOST_CHARACTERS = 200


@dataclass(frozen=True)
class Origin:
    """What a task's head and parts were made from; no paths.

    Attributes:
        accord: the version that trained it.
        run: the fingerprint of its run: of config and data.
        data: a hash of the task's own rows, all splits.
        date: when it was made, UTC, as "2026-01-31T12:00:00Z"; None where training alone wrote it,
            whose folders are the same to the bit whenever it is done.
    """

    accord: str
    run: str
    data: str
    date: str | None = None

    @staticmethod
    def of_several(origins: Sequence[Origin]) -> Origin:
        """Return that of a task made from several: hashes of runs, and of rows that differ."""
        rows = list(dict.fromkeys(each.data for each in origins))
        data = rows[0] if len(rows) == 1 else _hash(rows)
        return Origin(origins[0].accord, _hash([each.run for each in origins]), data)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object, without a date where there is none."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @staticmethod
    def from_json(value: object) -> Origin:
        """Make one from what `to_json` returned.

        Raises:
            ValueError: if it can be none: it may come from a stranger.
            TypeError: if a key is missing or unknown.
        """
        if not isinstance(value, dict):
            raise ValueError(f"made is {value!r:.40}")
        for name, text in value.items():
            if not isinstance(text, str) or len(text) > _MOST_CHARACTERS:
                raise ValueError(f"made.{name} is {text!r:.40}")
        return Origin(**value)


def _hash(texts: Sequence[str]) -> str:
    return hashlib.sha256(" ".join(texts).encode()).hexdigest()
