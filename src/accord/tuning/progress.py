"""What a search says of itself: each trial as it begins and ends, and the time that is left."""

from __future__ import annotations

import time

from accord.errors import TrainingError
from accord.runs.estimate import duration
from accord.runs.progress import Console
from accord.tuning.records import TrialRecord, ranking
from accord.tuning.space import Settings

MOST_FAILURES = 10
"""In a row, after which a search gives up."""


class Progress:
    """Says how each trial ended, and how long the rest may take.

    Args:
        total: trials that are to be done or pruned.
        trials: that ended before.
        console: where it is said.
    """

    def __init__(self, total: int, trials: list[TrialRecord], console: Console) -> None:
        self.total, self.trials, self.console = total, trials, console
        self.before, self.started, self.failures = self.counted, time.monotonic(), 0

    @property
    def counted(self) -> int:
        """Trials that are done or pruned."""
        return sum(own.state != "failed" for own in self.trials)

    def begin(self, number: int, settings: Settings, under_way: int) -> None:
        """Say what a trial tries, beside so many others."""
        place = self.counted + under_way + 1
        self.console.say(f"== {place}/{self.total} trial {number}: {shown(settings)}")

    def end(self, trials: list[TrialRecord], number: int) -> None:
        """Say how a trial ended.

        Args:
            trials: that ended, this one too.
            number: its own.

        Raises:
            TrainingError: if too many in a row failed.
        """
        self.trials, last = trials, next(own for own in trials if own.number == number)
        self.console.say(f"[{self.counted}/{self.total}] {self._ending(last)}{self._left()}")
        self.failures = self.failures + 1 if last.state == "failed" else 0
        if self.failures == MOST_FAILURES:
            raise TrainingError(
                f"{MOST_FAILURES} trials in a row failed, the last so: {last.error}"
            )

    def _ending(self, last: TrialRecord) -> str:
        if last.state == "failed":
            return f"trial {last.number} failed: {last.error}"
        how = "pruned at" if last.state == "pruned" else "score"
        again = "" if last.repeats is None else f" as trial {last.repeats}"
        best = ranking(self.trials)[0]
        return (
            f"{how} {last.score:z.4f}{again} (best {best.score:z.4f}, trial {best.number}):"
            f" {shown(last.settings)}"
        )

    def _left(self) -> str:
        ran = self.counted - self.before
        if ran == 0 or self.counted == self.total:
            return ""
        seconds = (time.monotonic() - self.started) / ran * (self.total - self.counted)
        return f"; about {duration(seconds)} left"


def shown(settings: Settings) -> str:
    """Return settings in one line.

    Example:
        >>> shown({"training.lr": 0.000123456, "training.gradients": "sum"})
        'training.lr=0.0001235 training.gradients=sum'
    """
    return " ".join(f"{key}={short(value)}" for key, value in settings.items())


def short(value: object) -> str:
    """Return a value with four digits if it has more."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
