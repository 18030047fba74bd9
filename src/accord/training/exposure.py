"""What each task was shown in a run: examples, tokens, and the padding that packing avoided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from accord.data.loader import Assembler, TaskData
from accord.data.rehearsal import RehearsalSampler
from accord.data.sampler import Sampler


@dataclass(frozen=True)
class Exposure:
    """How much of one task's training data a run has seen.

    Attributes:
        rows: of the training split.
        steps: in which the task had examples.
        examples: seen, each as often as it came.
        epochs: examples over rows: how often an example was seen, on average.
        tokens: that the encoder read for them; with a frozen encoder each row is read once.
        padding_tokens: that it would have read besides, had each step's examples of the task been
            padded to the longest of them.
    """

    rows: int
    steps: int
    examples: int
    epochs: float
    tokens: int
    padding_tokens: int


def exposures(
    sampler: Sampler | RehearsalSampler,
    data: Sequence[TaskData],
    assembler: Assembler,
    steps: int,
    *,
    frozen: bool = False,
) -> dict[str, Exposure]:
    """Count what a run's first steps showed of each task.

    Args:
        sampler: says which rows each step draws.
        data: each task's training split.
        assembler: says how long a row is.
        steps: of the run, from its first.
        frozen: whether the encoder reads each row once, and steps read its vectors.
    """
    lengths = [assembler.sequence_lengths(split) for split in data]
    seen, tokens, padding = np.zeros((3, len(data)), dtype=np.int64)
    present = np.zeros(len(data), dtype=np.int64)
    for step in range(steps):
        for i, rows in enumerate(sampler.draw(step)):
            if not len(rows):
                continue
            drawn_lengths = lengths[i][rows]
            present[i] += 1
            seen[i] += len(rows)
            tokens[i] += drawn_lengths.sum()
            padding[i] += (drawn_lengths.max(axis=0) * len(rows)).sum() - drawn_lengths.sum()
    if frozen:
        tokens, padding = np.array([length.sum() for length in lengths]), np.zeros_like(padding)
    return {
        split.task.name: Exposure(
            rows=len(split),
            steps=int(present[i]),
            examples=int(seen[i]),
            epochs=round(int(seen[i]) / max(1, len(split)), 4),
            tokens=int(tokens[i]),
            padding_tokens=int(padding[i]),
        )
        for i, split in enumerate(data)
    }
