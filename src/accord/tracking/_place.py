"""What a tracker is told of a run, and what it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class Place:
    """A run, as a tracker begins with it.

    Attributes:
        folder: of the run.
        project: that it belongs to.
        name: of the run.
        config: all settings, as JSON; no credentials are among them.
        identity: by which the tracker knows the run from before it was resumed; None: it is new.
        step: after which it goes on.
    """

    folder: Path
    project: str
    name: str
    config: Mapping[str, Any]
    identity: str | None = None
    step: int = 0

    @property
    def flat(self) -> dict[str, Any]:
        """The settings by their keys, `training.lr` and so on."""
        return dict(_flat(self.config, ""))


class Tracker(Protocol):
    """Shows a run's figures.

    Attributes:
        identity: by which it knows the run again; None where it needs none.
    """

    @property
    def identity(self) -> str | None: ...

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Show figures of a step."""

    def finish(self, done: bool) -> None:
        """End; `done` says whether the run is."""


def _flat(table: Mapping[str, Any], before: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in table.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{before}{key}.")
        else:
            found.append((f"{before}{key}", value))
    return found
