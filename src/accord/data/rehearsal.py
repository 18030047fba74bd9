"""Memories of finished tasks: which rows they keep, and which of them a step draws."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from accord.data.sampler import Sampler, stream
from accord.errors import ConfigError
from accord.sampling import EpochShape

_DRAW = 1 << 25  # in the place of a pass's number in the sampler's draws: none is so high


def memory_rows(
    labels: np.ndarray,
    size: int,
    choice: Literal["random", "balanced"],
    *,
    classes: bool,
    key: tuple[int, str],
) -> np.ndarray:
    """Choose the rows that a memory keeps: a function of the key.

    'random': any, all alike. 'balanced': of classes as many of each as there are, what a small one
    lacks shared by the others; of a regression's values one of each of `size` quantiles.

    *Source:* Chaudhry et al. 2019, On Tiny Episodic Memories in Continual Learning, section 4: a
    ring buffer of a class each keeps as many of each.

    Args:
        labels: of the task's training rows, class indices or values, [n].
        size: rows to keep.
        choice: how.
        classes: whether labels are classes.
        key: the run's seed and the task's name.

    Returns:
        Indices of rows, ascending, int64 [size].

    Raises:
        ConfigError: if there are fewer rows.

    Example:
        >>> labels = np.array([0.0] * 8 + [1.0] * 2)
        >>> labels[memory_rows(labels, 4, "balanced", classes=True, key=(0, "mood"))].tolist()
        [0.0, 0.0, 1.0, 1.0]
    """
    seed, name = key
    check_size(size, len(labels), name)
    rng = np.random.default_rng([seed, zlib.crc32(name.encode()), _DRAW])
    order = rng.permutation(len(labels))
    if choice == "random":
        return np.sort(order[:size])
    if classes:
        return np.sort(_of_each_class(labels, size, order))
    ranked = order[np.argsort(labels[order], kind="stable")]  # of equal values any may come first
    ends = np.linspace(0, len(labels), size + 1).astype(np.int64)
    return np.sort(ranked[rng.integers(ends[:-1], ends[1:])])


def check_size(size: int, rows: int, name: str) -> None:
    """Check that a task has as many training rows as a memory is to keep.

    Raises:
        ConfigError: if there are fewer.
    """
    if size > rows:
        raise ConfigError(f"memory.size: {size} is more than the {rows} training rows of '{name}'")


def _of_each_class(labels: np.ndarray, size: int, order: np.ndarray) -> np.ndarray:
    """Take the first rows of each class in an order, in rounds of one of each, until there are so
    many."""
    shuffled = labels[order]
    rounds = np.zeros(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        is_label = shuffled == label
        rounds[is_label] = np.arange(np.count_nonzero(is_label))
    return order[np.argsort(rounds, kind="stable")[:size]]


@dataclass(frozen=True)
class RehearsalSampler:
    """Draws current tasks' rows as a sampler does, and a batch of every finished task's memory.

    Attributes:
        current: draws the current tasks' rows.
        names: of all tasks.
        sizes: rows of each; a finished task's are its memory's, and may be none.
    """

    current: Sampler
    names: tuple[str, ...]
    sizes: tuple[int, ...]

    @property
    def steps(self) -> int:
        """Steps of an epoch: those that the current tasks take."""
        return self.current.steps

    @property
    def shares(self) -> tuple[float, ...]:
        """Examples of each task in a step of the first epoch."""
        return self.shape(0).shares

    def shape(self, epoch: int) -> EpochShape:
        """Return an epoch's shape, with the memories' batches among its shares."""
        shape = self.current.shape(epoch)
        shares = dict(zip(self.current.names, shape.shares, strict=True))
        batches = zip(self.names, map(self._batch, self.sizes), strict=True)
        return replace(
            shape, shares=tuple(shares.get(name, float(drawn)) for name, drawn in batches)
        )

    def draw(self, step: int) -> list[np.ndarray]:
        """Return the rows of each task in a step, counted from 0 over the whole run."""
        drawn = dict(zip(self.current.names, self.current.draw(step), strict=True))
        return [
            drawn[name] if name in drawn else self._remembered(name, size, step)
            for name, size in zip(self.names, self.sizes, strict=True)
        ]

    def examples(self, epochs: int) -> list[int]:
        """Return how many examples of each task a number of epochs draws, memories included."""
        drawn = dict(zip(self.current.names, self.current.examples(epochs), strict=True))
        return [
            drawn.get(name, self._batch(size) * self.steps * epochs)
            for name, size in zip(self.names, self.sizes, strict=True)
        ]

    def _remembered(self, name: str, size: int, step: int) -> np.ndarray:
        batch = self._batch(size)
        return stream(self.current.seed, name, size, step * batch, (step + 1) * batch)

    def _batch(self, size: int) -> int:
        """Return the rows that a step draws of a memory of some size."""
        return min(self.current.budget.batch_size, size)
