"""trackio: a local dashboard, `trackio show`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from accord.tracking._place import Place, Tracker

PACKAGES = ("trackio",)


class Trackio:
    """Tells trackio by its own library."""

    def __init__(self, place: Place) -> None:
        import trackio

        # A run of the same name would be gone on with, and names of folders come again.
        name = place.identity or f"{place.name}-{uuid4().hex[:8]}"
        self._run: Any = trackio.init(
            project=place.project, name=name, config=dict(place.config),
            resume="never" if place.identity is None else "allow", embed=False,
        )  # fmt: skip
        self.identity: str | None = self._run.name

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Tell figures of a step."""
        self._run.log(dict(values), step=step)

    def finish(self, done: bool) -> None:
        """End the run there."""
        self._run.finish()


def begin(place: Place) -> Tracker:
    """Begin, or go on."""
    return Trackio(place)
