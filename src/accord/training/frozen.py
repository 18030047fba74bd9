"""Training heads on a frozen encoder: its pooled vectors are computed once, not once an epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from accord.data.loader import MicroBatch, StepBatch, TaskData


def feature_batch(
    drawn: Sequence[np.ndarray],
    data: Sequence[TaskData],
    features: Sequence[Tensor],
) -> StepBatch:
    """Gather a step's pooled vectors.

    Args:
        drawn: for every task the rows of its split in this step; may be empty.
        data: of every task.
        features: for every task its pooled vectors [rows * sequences, H].
    """
    present = tuple(i for i, rows in enumerate(drawn) if len(rows))
    vectors, targets = [], []
    for i in present:
        width = data[i].task.sequences
        pooled = features[i].view(len(data[i]), width, -1)
        vectors.append(pooled[torch.from_numpy(drawn[i]).to(pooled.device)].flatten(0, 1))
        targets.append(data[i].targets(drawn[i]).to(pooled.device))
    return StepBatch(
        present=present,
        rows=tuple(drawn[i] for i in present),
        passes=[MicroBatch(vectors, targets)],
        tokens=0,
        token_ids=torch.empty(0, dtype=torch.int64),
    )
