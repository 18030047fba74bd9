"""Agreement of two halves of a task's batch: the noise reference for cosines between tasks.

A gradient of a few examples is mostly noise, so the cosine between two tasks' gradients is near
zero even where the tasks want the same. The cosine h between two halves of one task's own batch
shows how much of it is noise. A half is noisier than the whole batches that tasks are compared by:
two of those would have 2h / (1 + h) (`report/attenuation.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from accord.data.batches import StepBatch, step_batch
from accord.data.loader import Assembler
from accord.data.sources import Source
from accord.training.step import Learner


def half_cosines(
    learner: Learner, drawn: Sequence[np.ndarray], sources: Sequence[Source],
    assembler: Assembler, step: int, limit: int | None = None,
) -> dict[str, float]:  # fmt: skip
    """Return for each source the cosine between the gradients of two halves of its examples.

    Nothing is updated, and the next step is what it would have been.

    Args:
        learner: whose encoder's gradients are taken.
        drawn: each source's rows; sources with fewer than two are left out.
        sources: those that may be drawn.
        assembler: makes sequences.
        step: keys dropout's masks, and which words are hidden.
        limit: most tokens of a pass.
    """
    batch = _in_halves(learner, drawn, sources, assembler, step, limit)
    if not batch.present:
        return {}
    gramian = learner.gramian(step, batch)
    norms = gramian.diagonal().clamp(min=0).sqrt()
    names = [sources[i // 2].name for i in batch.sources[::2]]
    return {
        name: float(gramian[2 * i, 2 * i + 1] / (norms[2 * i] * norms[2 * i + 1]).clamp(min=1e-300))
        for i, name in enumerate(names)
    }


def _in_halves(
    learner: Learner, drawn: Sequence[np.ndarray], sources: Sequence[Source],
    assembler: Assembler, step: int, limit: int | None,
) -> StepBatch:  # fmt: skip
    """Return a batch in which each source stands twice, with half of its examples each."""
    objective = learner.objective
    halves = [
        part
        for rows in drawn
        for middle in [len(rows) // 2]
        for part in (rows[:middle], rows[middle : 2 * middle])
    ]
    return step_batch(
        halves, [source for source in sources for _ in range(2)], assembler,
        objective.device, limit, objective.matmul.row_multiple, (objective.seed, step),
    )  # fmt: skip
