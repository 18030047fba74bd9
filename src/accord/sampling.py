"""The paper's three ways to batch data sets of unequal size (its section 3.5).

An epoch's shape is how many steps it has, how many examples of each task a step draws and
how each task's loss is weighted. Which rows a step draws is a function of (seed, task,
epoch, step): nothing of it is state, so a resumed run draws what it would have drawn.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np


@dataclass(frozen=True)
class EpochShape:
    """An epoch: its steps, and each task's examples and loss weight in a step."""

    steps: int
    batch_sizes: tuple[int, ...]
    loss_weights: tuple[float, ...]


def proportional(sizes: Sequence[int], batch_size: int) -> EpochShape:
    """Method 1: fix the number of batches, group data proportionally, weigh losses.

    The largest task's rows over `batch_size` are the steps; each task's rows over the steps
    are its share b_t, all rounded up. Its loss is weighted by Σ_{s≠t} b_s / b_t.

    *Source:* equation 2. With one task the sum is empty, and the weight is taken as 1.
    """
    steps = math.ceil(max(sizes) / batch_size)
    shares = [math.ceil(size / steps) for size in sizes]
    weights = [(sum(shares) - share) / share if len(shares) > 1 else 1.0 for share in shares]
    return EpochShape(steps, tuple(shares), tuple(weights))


def finish_largest(sizes: Sequence[int], batch_size: int) -> EpochShape:
    """Method 2: `batch_size` of each task until the largest is used up; others cycle."""
    return _equal(math.ceil(max(sizes) / batch_size), len(sizes), batch_size)


def finish_smallest(sizes: Sequence[int], batch_size: int) -> EpochShape:
    """Method 3: `batch_size` of each task until the smallest is used up; the rest waits."""
    return _equal(math.ceil(min(sizes) / batch_size), len(sizes), batch_size)


def _equal(steps: int, tasks: int, batch_size: int) -> EpochShape:
    return EpochShape(steps, (batch_size,) * tasks, (1.0,) * tasks)


BATCHING: dict[str, Callable[[Sequence[int], int], EpochShape]] = {
    "proportional": proportional,
    "finish-largest": finish_largest,
    "finish-smallest": finish_smallest,
}


@dataclass(frozen=True)
class Sampler:
    """Says which rows of each task a step draws.

    Attributes:
        names: the tasks' names; a task's order depends on its own name alone.
        sizes: rows of each task.
        shape: the epoch's.
        seed: of the run.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    shape: EpochShape
    seed: int

    def capped(self, steps: int | None) -> Sampler:
        """Return a sampler with at most so many steps an epoch."""
        if steps is None:
            return self
        return replace(self, shape=replace(self.shape, steps=min(steps, self.shape.steps)))

    def draw(self, step: int) -> list[np.ndarray]:
        """Return the rows of each task in a step, counted from 0 over the whole run.

        Each epoch shuffles anew. A task's last batch may be short; after it the epoch's
        batches of that task come again.
        """
        epoch, index = divmod(step, self.shape.steps)
        return [
            _batch(_order(self.seed, name, epoch, size), share, index)
            for name, size, share in zip(
                self.names, self.sizes, self.shape.batch_sizes, strict=True
            )
        ]


def _batch(order: np.ndarray, share: int, index: int) -> np.ndarray:
    start = index % math.ceil(len(order) / share) * share
    return order[start : start + share].copy()  # the order itself is cached


@lru_cache(maxsize=64)
def _order(seed: int, name: str, epoch: int, size: int) -> np.ndarray:
    entropy = [seed, zlib.crc32(name.encode()), epoch]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy))).permutation(size)
