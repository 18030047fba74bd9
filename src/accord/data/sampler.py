"""Which rows of each task a step draws: a function of (seed, task, step), so nothing is state."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np

from accord.data.class_stream import class_stream
from accord.sampling import Budget, EpochShape, Rule


@dataclass(frozen=True)
class Sampler:
    """Draws rows as a rule says.

    Attributes:
        names: the tasks' names; a task's order depends on its own name alone.
        sizes: rows of each task.
        rule: says how many of each.
        budget: of the run.
        seed: of the run.
        options: of the rule.
        classes: by name, the rows of each class of the tasks whose classes come equally often; the
            others' rows are shuffled.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    rule: Rule
    budget: Budget
    seed: int
    options: Mapping[str, Any] = field(default_factory=dict)
    classes: Mapping[str, Sequence[np.ndarray]] = field(default_factory=dict)
    _shapes: dict[int, EpochShape] = field(init=False, default_factory=dict, repr=False)
    _counts: list[np.ndarray] = field(init=False, default_factory=list, repr=False)
    _owed: list[np.ndarray] = field(init=False, default_factory=list, repr=False)
    _counting: Lock = field(init=False, default_factory=Lock, repr=False, compare=False)

    @property
    def steps(self) -> int:
        """Steps of an epoch: of every epoch alike."""
        return self.shape(0).steps

    @property
    def shares(self) -> tuple[float, ...]:
        """Examples of each task in a step of the first epoch."""
        return self.shape(0).shares

    def shape(self, epoch: int) -> EpochShape:
        """Return an epoch's shape; those after the last are as the last."""
        known = min(epoch, self.budget.epochs - 1) if self.rule.varies else 0
        if known not in self._shapes:
            budget = Budget(**{**vars(self.budget), "epoch": known})
            self._shapes[known] = self.rule.function(self.sizes, budget, **self.options)
        return self._shapes[known]

    def draw(self, step: int) -> list[np.ndarray]:
        """Return the rows of each task in a step, counted from 0 over the whole run."""
        epoch, index = divmod(step, self.steps)
        if self.shape(epoch).restarts:
            return self._draw_anew(epoch, index)
        ends = self._ends(epoch)
        before = ends[index - 1] if index else self._start(epoch)
        return [
            self._stream(i, int(start), int(stop))
            for i, (start, stop) in enumerate(zip(before, ends[index], strict=True))
        ]

    def _draw_anew(self, epoch: int, index: int) -> list[np.ndarray]:
        """Draw from an epoch's own order; after a task's last batch its batches come again.

        Balanced classes go on instead, with batches of the same sizes.
        """
        batches = []
        for i, (name, size) in enumerate(zip(self.names, self.sizes, strict=True)):
            share = round(self.shape(epoch).shares[i])
            if name in self.classes:
                before = self.examples(epoch)[i] if epoch else 0
                ends = [before + _drawn_anew(size, share, steps) for steps in (index, index + 1)]
                batches.append(self._stream(i, *ends))
            else:
                batches.append(_batch(_order(self.seed, name, epoch, size), share, index))
        return batches

    def _stream(self, task: int, start: int, stop: int) -> np.ndarray:
        """Return a part of a task's rows, shuffled pass after pass, or class by class."""
        name = self.names[task]
        if name in self.classes:
            return class_stream(self.seed, name, self.classes[name], start, stop)
        return stream(self.seed, name, self.sizes[task], start, stop)

    def _start(self, epoch: int) -> np.ndarray:
        """Return how many rows of each task the epochs before one have drawn."""
        if epoch == 0:
            return np.zeros(len(self.sizes), dtype=np.int64)
        return np.asarray(self._ends(epoch - 1)[-1])

    def _ends(self, epoch: int) -> np.ndarray:
        """Return how many rows of each task the run has drawn after each of an epoch's steps.

        What one epoch owes the next is counted once, whichever thread asks first.
        """
        with self._counting:
            for number in range(len(self._counts), epoch + 1):
                key = (self.seed, number, number * self.steps)
                counts = _counts(self.shape(number), key, self.budget.batch_size, self._owed)
                before = self._counts[-1][-1] if number else np.zeros(len(self.sizes), np.int64)
                self._counts.append(before + counts.cumsum(axis=0))
            return self._counts[epoch]

    def examples(self, epochs: int) -> list[int]:
        """Return how many examples of each task a number of epochs draws."""
        if self.shape(0).restarts:
            # Epochs of one shape are multiplied, not counted one by one: there may be any number.
            shapes = range(epochs) if self.rule.varies else range(1)
            shares = np.array([self.shape(epoch).shares for epoch in shapes])
            times = 1 if self.rule.varies else epochs
            return [
                times * sum(_drawn_anew(size, round(share), self.steps) for share in task_ends)
                for size, task_ends in zip(self.sizes, shares.T, strict=True)
            ]
        return [int(end) for end in self._ends(epochs - 1)[-1]]


def _counts(
    shape: EpochShape, key: tuple[int, int, int], batch_size: int, owed: list[np.ndarray]
) -> np.ndarray:
    """Return the examples of each task in each of an epoch's steps, int64 [steps, T].

    Args:
        shape: of the epoch.
        key: (seed, epoch, the epoch's first step).
        batch_size: of a step of one task.
        owed: one array, what each task is behind from epoch to epoch, changed in place; empty at
            first.
    """
    shares = np.array(shape.shares)
    if not owed:
        owed.append(np.zeros(len(shares)))
    if shape.order == "together":
        return _spread(shares, shape.steps, round(shares.sum()), owed[0])
    tasks = len(shares)
    if shape.order == "cyclic":
        chosen = (key[2] + np.arange(shape.steps)) % tasks
    else:
        turns = _spread(shares / shares.sum(), shape.steps, 1, owed[0])
        chosen = np.random.default_rng([*key[:2], 1]).permutation(turns.argmax(axis=1))
    counts = np.zeros((shape.steps, tasks), dtype=np.int64)
    counts[np.arange(shape.steps), chosen] = batch_size
    return counts


def _spread(shares: np.ndarray, steps: int, total: int, owed: np.ndarray) -> np.ndarray:
    """Round shares to whole numbers so that every step has `total`, and no task is ever a whole
    example behind what its share has come to by then, or ahead of it, except for ties.

    Each step gives its examples one by one to the task that is furthest behind; what each is
    behind, `owed`, is carried on in place.
    """
    floors = np.floor(shares).astype(np.int64)
    counts = np.tile(floors, (steps, 1))
    for count in counts:
        owed += shares - floors
        for _ in range(total - int(floors.sum())):
            behind = int(np.argmax(owed))
            count[behind] += 1
            owed[behind] -= 1
    return counts


def stream(seed: int, name: str, size: int, start: int, stop: int) -> np.ndarray:
    """Return a part of an endless stream of a task's rows, shuffled anew for each pass over them.

    Args:
        seed: of the run.
        name: of the task.
        size: of its rows.
        start: of the part.
        stop: its end.
    """
    parts = []
    while start < stop:
        number, offset = divmod(start, size)
        taken = min(stop - start, size - offset)
        parts.append(_order(seed, name, number, size)[offset : offset + taken])
        start += taken
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def _batch(order: np.ndarray, share: int, index: int) -> np.ndarray:
    start = index % math.ceil(len(order) / share) * share
    return order[start : start + share].copy()  # the order itself is cached


def _drawn_anew(size: int, share: int, steps: int) -> int:
    """Return how many rows the `_batch`es of an epoch hold."""
    passes, rest = divmod(steps, math.ceil(size / share))
    return passes * size + min(size, rest * share)


@lru_cache(maxsize=64)
def _order(seed: int, name: str, epoch: int, size: int) -> np.ndarray:
    entropy = [seed, zlib.crc32(name.encode()), epoch]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy))).permutation(size)
