"""The progress of many runs: how each ended, and how long the rest may take."""

from __future__ import annotations

import time

from accord.runs.estimate import duration
from accord.runs.progress import Console


class Progress:
    """Counts runs, and says so.

    Args:
        total: how many there are to be.
        console: where it is said.
        counted: those that were there before.

    Attributes:
        counted: those that have ended.
    """

    def __init__(self, total: int, console: Console, counted: int = 0) -> None:
        self.total, self.console, self.counted = total, console, counted
        self._ran, self._started = 0, time.monotonic()

    def begin(self, text: str, under_way: int = 0) -> None:
        """Say which run begins, and how many run besides."""
        self.console.say(f"== {self.counted + under_way + 1}/{self.total} {text}")

    def end(self, text: str, *, counts: bool = True, ran: bool = True) -> None:
        """Say what ended.

        Args:
            text: the line about it.
            counts: whether it is one of those that there are to be.
            ran: whether it took its time, as those will that are left.
        """
        self.counted += counts
        self._ran += ran
        if self._ran and self.counted < self.total:
            seconds = (time.monotonic() - self._started) / self._ran * (self.total - self.counted)
            text += f"; about {duration(seconds)} left"
        self.console.say(f"[{self.counted}/{self.total}] {text}")
