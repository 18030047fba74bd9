"""Layer norms of each task's own."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import Tensor, nn

from accord.encoders.blocks import Block
from accord.encoders.encoder import EncoderConfig
from accord.sharing._registry import Part, Rows, scheme


class NormPart(Part):
    """Each task's two norms of one layer."""

    def norm(self, name: str, x: Tensor, rows: Rows) -> Tensor:
        """Apply the task's norm in place of the layer's."""
        return self.by_task(rows.here, x, lambda module, part: module[name](part))  # type: ignore[index]

    def merge(self, task: int, layer: Block) -> None:
        """Put the task's norms in."""
        for name, norm in self.per_task[task].items():  # type: ignore[operator]
            layer.norms()[name].load_state_dict(norm.state_dict())


@scheme(
    "task-norm",
    paper="Bilen & Vedaldi 2017, Universal Representations, section 3, with layer norms; Pilault"
    " et al. 2021, Conditionally Adaptive Multi-Task Learning",
    use="The smallest part that a task can have: a scale and a shift for each feature.",
    cost="none that shows",
    allowed_with_copies=False,  # which hold norms themselves
)
def task_norm(layers: Sequence[Block], config: EncoderConfig, tasks: int) -> list[Part]:
    """Give each task's rows scales and shifts of its own, γ_t and β_t, in every layer norm.

    They start as the shared ones, so the output is unchanged to the bit; the embeddings' norm stays
    shared.

    *Source:* Bilen & Vedaldi 2017, section 3: normalisation and scaling by domain.

    Args:
        layers: of the encoder.
        config: its sizes.
        tasks: how many.
    """
    return [
        NormPart([
            nn.ModuleDict({name: copy.deepcopy(norm) for name, norm in layer.norms().items()})
            for _ in range(tasks)
        ])
        for layer in layers
    ]  # fmt: skip
