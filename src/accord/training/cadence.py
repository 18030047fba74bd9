"""When a run is saved, besides after each epoch."""

from __future__ import annotations

import time

from accord.plan.run import CheckpointPlan


class Cadence:
    """When a checkpoint is due, beside each epoch's end.

    Args:
        plan: says after how many steps or minutes.
    """

    def __init__(self, plan: CheckpointPlan) -> None:
        self.steps, self.minutes = plan.every_steps, plan.every_minutes
        self.saved()

    def saved(self) -> None:
        """Count the minutes anew."""
        self._since = time.monotonic()  # no clock that is set back holds a checkpoint off

    def is_due(self, step: int) -> bool:
        """Whether one is due at this step of the run."""
        minutes = (time.monotonic() - self._since) / 60
        by_steps = self.steps is not None and step % self.steps == 0
        return by_steps or (self.minutes is not None and minutes >= self.minutes)
