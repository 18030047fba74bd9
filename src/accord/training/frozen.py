"""Training heads on a frozen encoder: its pooled vectors are computed once, not once an epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from accord.data.batches import MicroBatch, StepBatch, View, labelled_of
from accord.data.sources import Source
from accord.evaluation.inputs import Pooled


def feature_batch(
    drawn: Sequence[np.ndarray],
    sources: Sequence[Source],
    features: Sequence[Pooled],
    static: bool = False,
) -> StepBatch:
    """Gather a step's pooled vectors.

    Args:
        drawn: the rows of every source in this step; may be empty.
        sources: those that may be drawn.
        features: every task's pooled vectors.
        static: whether the step is to be one of a static shape, where its tasks' kinds allow it.
    """
    groups = tuple(i for i, rows in enumerate(drawn) if len(rows))
    labelled = [
        one for place, i in enumerate(groups) for one in labelled_of(sources[i], drawn[i], place)
    ]
    gathered = [features[one.task].rows(one.rows) for one in labelled]
    micro = MicroBatch(
        inputs=[vectors for vectors, _ in gathered],
        targets=[
            one.targets.to(vectors.device, non_blocking=True)
            for one, (vectors, _) in zip(labelled, gathered, strict=True)
        ],
        views=tuple(
            View(one.task, one.group, units=units)
            for one, (_, units) in zip(labelled, gathered, strict=True)
        ),
    )
    return StepBatch(
        present=tuple(one.task for one in labelled),
        rows=tuple(one.rows for one in labelled),
        passes=[micro],
        tokens=0,
        token_ids=torch.empty(0, dtype=torch.int64),
        sources=groups,
        group_of=tuple(one.group for one in labelled),
        weights=tuple(one.weight for one in labelled),
        fixed=static and all(units is None for _, units in gathered),
    )
