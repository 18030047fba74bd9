"""How often the same text or example is in a set of rows, or in two sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accord.data.loader import TaskData

Hashes = npt.NDArray[np.uint64]

_ODD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Counts:
    """A number of rows, by how closely texts are compared.

    `exact` compares texts as they stand; `normalised` is blind to case and white space.
    """

    exact: int
    normalised: int


@dataclass(frozen=True)
class Overlap:
    """The overlap of one task's dev rows with the training rows of a task.

    `examples` counts dev rows whose whole example does, the texts of a pair in either order (0
    between tasks with one text and with two); `texts` counts those of which any text does.
    """

    train_task: str
    dev_task: str
    dev_rows: int
    examples: Counts
    texts: Counts


def count_duplicates(part: TaskData) -> Counts:
    """Count the rows whose whole example stands in an earlier row too."""

    def count(hashes: Hashes) -> int:
        examples = example_hashes(hashes[part.rows])
        return len(examples) - len(np.unique(examples))

    return Counts(count(part.store.exact_hashes), count(part.store.normalised_hashes))


def find_overlap(train: TaskData, dev: TaskData) -> Overlap:
    """Count the dev rows that stand in the training rows."""
    exact = _shared(train.store.exact_hashes[train.rows], dev.store.exact_hashes[dev.rows])
    normalised = _shared(
        train.store.normalised_hashes[train.rows], dev.store.normalised_hashes[dev.rows]
    )
    return Overlap(
        train_task=train.task.name,
        dev_task=dev.task.name,
        dev_rows=len(dev.rows),
        examples=Counts(exact[0], normalised[0]),
        texts=Counts(exact[1], normalised[1]),
    )


def _shared(train: Hashes, dev: Hashes) -> tuple[int, int]:
    """Return how many dev rows share their whole example, and how many any text."""
    examples = int(among(example_hashes(dev), example_hashes(train)).sum())
    return examples, int(among(dev, train[train > 0]).any(axis=1).sum())


def among(hashes: Hashes, others: Hashes) -> npt.NDArray[np.bool_]:
    """Return which hashes stand among others.

    As `np.isin`, which sorts both together and takes ten times as long for a million.
    """
    ordered = np.sort(others)
    if not len(ordered):
        return np.zeros(hashes.shape, dtype=bool)
    places = np.searchsorted(ordered, hashes).clip(max=len(ordered) - 1)
    return np.asarray(ordered[places] == hashes)


def example_hashes(hashes: Hashes) -> Hashes:
    """Return one hash for each row, blind to the order of its texts.

    Zeros, which pad rows that have fewer texts, are sorted to the front and count nothing.
    """
    ordered = np.sort(hashes, axis=1)
    total = ordered[:, 0].copy()
    for column in ordered.T[1:]:
        total = total * _ODD + column
    return total
