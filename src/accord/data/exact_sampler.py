"""A sampler of one task whose run draws exactly as many examples as the config asks for."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from accord.data.sampler import Sampler
from accord.sampling import EpochShape


@dataclass(frozen=True)
class ExactSampler(Sampler):
    """Draws n examples of one task in K = E min(⌈n / (E B)⌉, ⌊n / E⌋) steps, whatever the rule.

    E are the epochs and B is the batch size. Step k draws the rows from n k // K to n (k + 1) // K
    of one stream of shuffled passes, or of balanced classes: the steps are as equal as can be, and
    of shuffled passes no row comes again before every other one has come as often. No step has more
    than B rows; only where B is 1 and E doesn't divide n, so that single rows can't fill epochs of
    equally many steps, some have 2.

    Attributes:
        total: n, examples of the whole run; at least E.

    Example:
        >>> from accord.sampling import Budget, get_rule
        >>> rule = get_rule("finish-largest")
        >>> own = ExactSampler(("sts",), (5,), rule, Budget(4, epochs=2), seed=0, total=14)
        >>> own.steps, [len(own.draw(step)[0]) for step in range(4)]
        (2, [3, 4, 3, 4])
    """

    total: int = 0

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        epochs = self.budget.epochs
        full = math.ceil(self.total / (epochs * self.budget.batch_size))
        return min(full, self.total // epochs)  # no step is empty

    def shape(self, epoch: int) -> EpochShape:
        """Return the shape of every epoch; its share is an average over steps."""
        return EpochShape(self.steps, (self.total / (self.budget.epochs * self.steps),))

    def draw(self, step: int) -> list[np.ndarray]:
        """Return the rows of a step, counted from 0 over the whole run."""
        return [self._stream(0, self._drawn(step), self._drawn(step + 1))]

    def examples(self, epochs: int) -> list[int]:
        """Return how many examples a number of epochs draws."""
        return [self._drawn(epochs * self.steps)]

    def _drawn(self, steps: int) -> int:
        return self.total * steps // (self.budget.epochs * self.steps)
