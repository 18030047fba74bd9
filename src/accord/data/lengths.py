"""How many tokens the encoder reads of a row."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accord.data.template import Template
from accord.tasks import Task


def sequence_lengths(
    lengths: npt.NDArray[np.int64], task: Task, framing: Template
) -> npt.NDArray[np.int64]:
    """Return the lengths of the sequences that the encoder reads, before truncation.

    Args:
        lengths: tokens of each text, `[rows, texts]`, without special tokens.
        task: its layout says which texts a sequence joins.
        framing: the special tokens around them.

    Returns:
        Lengths with special tokens, `[rows, sequences]`.
    """
    parts = [
        lengths[:, list(texts)].sum(axis=1) + framing.special_tokens(len(texts))
        for texts in task.layout
    ]
    return np.stack(parts, axis=1)
