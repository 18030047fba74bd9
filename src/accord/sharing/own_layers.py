"""The first layers shared, the rest each task's own."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor

from accord.encoders.blocks import Block
from accord.encoders.encoder import EncoderConfig
from accord.sharing._registry import Part, Rows, scheme


class CopyPart(Part):
    """Each task's copy of one layer."""

    replaces = True

    def dense(self, name: str, x: Tensor, y: Tensor, rows: Rows) -> Tensor:
        """Apply the task's own dense layer."""
        return self.by_task(rows.here, x, lambda module, part: module.dense_layers()[name](part))  # type: ignore[operator]

    def norm(self, name: str, x: Tensor, rows: Rows) -> Tensor:
        """Apply the task's own norm."""
        return self.by_task(rows.here, x, lambda module, part: module.norms()[name](part))  # type: ignore[operator]

    def merge(self, task: int, layer: Block) -> None:
        """Put the task's copy in."""
        if len(self.per_task):
            layer.load_state_dict(self.per_task[task].state_dict())


def shared_layers(layers: int, shared: int | None) -> int:
    """Return how many of the first layers are shared: by default half of them."""
    return layers // 2 if shared is None else shared


@scheme(
    "own-layers",
    paper="Caruana 1997; as branching Vandenhende et al. 2020, Branched Multi-Task Networks",
    use="Where tasks need unlike features at the top, and memory is no concern.",
    cost="a copy of each own layer per task; no more products",
    copies=True,
    first_layer=lambda layers, options: shared_layers(layers, options["shared"]) + 1,
)
def own_layers(
    layers: Sequence[Block],
    config: EncoderConfig,
    tasks: int,
    *,
    shared: Annotated[
        Annotated[int, Field(ge=0)] | None, Field(description="default: half of the layers")
    ] = None,
) -> list[Part]:
    """Share the embeddings and the first layers, and give each task a copy of the others.

    The copies start as the shared layers, which are trained no more where each task has its own.

    *Source:* hard sharing of the lower layers alone, as Caruana 1997 describes it.

    Args:
        layers: of the encoder.
        config: its sizes.
        tasks: how many.
        shared: how many of the first layers are; None is half of them.
    """
    shared = shared_layers(len(layers), shared)
    if shared >= len(layers):
        raise ValueError(f"shared {shared}: the encoder has {len(layers)} layers, so none is own")
    return [
        CopyPart([copy.deepcopy(layer) for _ in range(tasks)]) if i >= shared else Part([])
        for i, layer in enumerate(layers)
    ]
