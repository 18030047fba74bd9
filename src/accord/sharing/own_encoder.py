"""One encoder per task: nothing is shared but what a penalty holds together."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from accord.encoders.blocks import Block
from accord.encoders.encoder import Embeddings, EncoderConfig
from accord.sharing._registry import EmbeddingPart, Part, scheme
from accord.sharing.own_layers import CopyPart


def own_embeddings(embeddings: Embeddings, tasks: int) -> EmbeddingPart:
    """Return each task's copy of the embeddings."""
    return EmbeddingPart([copy.deepcopy(embeddings) for _ in range(tasks)])


@scheme(
    "own-encoder",
    paper="Duong et al. 2015, Low Resource Dependency Parsing; Yang & Hospedales 2017, Trace Norm"
    " Regularised Deep Multi-Task Learning",
    use="For soft sharing: with sharing.soft a penalty holds the tasks' encoders together.",
    cost="a whole encoder a task in memory; no more products",
    copies=True,
    embeddings=own_embeddings,
)
def own_encoder(layers: Sequence[Block], config: EncoderConfig, tasks: int) -> list[Part]:
    """Give each task a copy of the whole encoder, embeddings included.

    All start from the same weights. With `sharing.soft` a penalty on their distance is added to
    the loss; without it these are single-task models trained side by side, except for the pooler,
    which stays shared.

    *Source:* Ruder 2017, section 3.2, soft parameter sharing.

    Args:
        layers: of the encoder.
        config: its sizes.
        tasks: how many.
    """
    return [CopyPart([copy.deepcopy(layer) for _ in range(tasks)]) for layer in layers]
