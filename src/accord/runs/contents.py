"""What a run was made from, by content, as its `resolved.json` records it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Contents:
    """What distinguishes a run's data and its encoder from others.

    A change that was accepted by force while the run was stopped is recorded apart from the rest.

    Attributes:
        table: what `resolved.json` holds; {} where nothing is known.
    """

    table: Mapping[str, Any]

    def data(self, task: str, split: str) -> str:
        """Return what distinguishes a task's split from others; empty where that isn't known."""
        recorded = self.recorded(task, split)
        return ":".join([recorded, *self._forced(f"data {task}.{split}:")]) if recorded else ""

    def recorded(self, task: str, split: str) -> str:
        """Return what identifies a task's split as the run last read it, not as it is now."""
        data = self.table.get("data")
        return str(data.get(f"{task}.{split}", "")) if isinstance(data, dict) else ""

    @property
    def encoder(self) -> str:
        """What identifies the weights that the run began with, and the heads that it took over;
        empty where that isn't known."""
        return self._encoder("weights", "heads")

    @property
    def encoder_settings(self) -> str:
        """What distinguishes the encoder's settings from others; empty where that isn't known."""
        return self._encoder("config.json")

    def _encoder(self, *keys: str) -> str:
        table = self.table.get("encoder", {})
        hashes = [str(table[key]) for key in keys if key in table]
        return ":".join([*hashes, *self._forced("encoder's ")]) if hashes else ""

    def _forced(self, change: str) -> Iterator[str]:
        """Yield what the run was known by before each time that something was changed."""
        for entry in self.table.get("forced", ()):
            if any(str(line).startswith(change) for line in entry["changes"]):
                yield str(entry["fingerprint_before"])
