"""What each task was shown in a run: examples, tokens, and the padding that packing avoided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from accord.data.loader import Assembler
from accord.data.rehearsal import RehearsalSampler
from accord.data.sampler import Sampler
from accord.data.sources import Source


@dataclass(frozen=True)
class Exposure:
    """How much of one task's training data a run has seen.

    Attributes:
        rows: of the training split.
        steps: in which the task had labelled examples.
        examples: seen, each as often as it came.
        epochs: examples over rows: how often an example was seen, on average.
        tokens: that the encoder read for them, once for all tasks of a source; with a frozen
            encoder each row is read once.
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
    sources: Sequence[Source],
    assembler: Assembler,
    steps: int,
    *,
    frozen: bool = False,
) -> dict[str, Exposure]:
    """Count what a run's first steps showed of each task.

    Args:
        sampler: says which rows each step draws.
        sources: the training rows.
        assembler: says how long a row is.
        steps: of the run, from its first.
        frozen: whether the encoder reads each row once, and steps read its vectors.
    """
    parts = sorted(
        ((task, part, source, number) for number, source in enumerate(sources)
         for task, part in zip(source.tasks, source.parts, strict=True)),
        key=lambda each: each[0],
    )  # fmt: skip
    lengths = [assembler.sequence_lengths(part) for _, part, _, _ in parts]
    seen, tokens, padding = np.zeros((3, len(parts)), dtype=np.int64)
    present = np.zeros(len(parts), dtype=np.int64)
    for step in range(steps):
        drawn = sampler.draw(step)
        for i, (task, _, source, number) in enumerate(parts):
            rows = source.labelled(task, drawn[number])
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
        part.task.name: Exposure(
            rows=len(part),
            steps=int(present[i]),
            examples=int(seen[i]),
            epochs=round(int(seen[i]) / max(1, len(part)), 4),
            tokens=int(tokens[i]),
            padding_tokens=int(padding[i]),
        )
        for i, (_, part, _, _) in enumerate(parts)
    }
