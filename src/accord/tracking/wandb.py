"""Weights & Biases: by its own login or WANDB_API_KEY, or WANDB_MODE=offline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accord.tracking._place import Place, Tracker

PACKAGES = ("wandb",)


class WeightsAndBiases:
    """Tells the service by its own library."""

    def __init__(self, place: Place) -> None:
        import wandb

        self._run: Any = wandb.init(
            project=place.project, name=place.name, id=place.identity, config=dict(place.config),
            dir=str(place.folder), resume=None if place.identity is None else "allow",
            settings=wandb.Settings(console="off", silent=True),
        )  # fmt: skip
        self.identity: str | None = self._run.id

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Tell figures of a step."""
        self._run.log(dict(values), step=step)

    def finish(self, done: bool) -> None:
        """End the run there."""
        self._run.finish(exit_code=0 if done else 1)


def begin(place: Place) -> Tracker:
    """Begin, or go on."""
    return WeightsAndBiases(place)
