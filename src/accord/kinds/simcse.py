"""A text is to be recognised among others by its vector under another dropout mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from accord.config.base import PositiveFloat
from accord.config.tasks import AuxiliaryConfig, Pooling
from accord.kinds._context import HeadContext, TextPasses, TrainingLabels
from accord.kinds._kind import Layout
from accord.kinds._unlabelled import UnlabelledKind
from accord.tasks import Task

if TYPE_CHECKING:
    from torch import Tensor

    from accord.data.plan import TaskPlan
    from accord.encoders.encoder import EncoderConfig
    from accord.model.auxiliary import ContrastiveHead

GROUP_ROWS = 64  # dev texts that are compared with each other


class SimCSEConfig(AuxiliaryConfig):
    """`[tasks.NAME]` with `kind = "simcse"`."""

    kind: Literal["simcse"]
    temperature: PositiveFloat = Field(0.05, description="What cosines are divided by.")
    pooling: Pooling = Field(
        "cls",
        description="Which part of the encoder's output is compared; 'cls' goes through a dense"
        " layer with tanh that only training has.",
    )


@dataclass(frozen=True)
class SimCSETask(Task):
    """`temperature` is what cosines are divided by."""

    temperature: float = 0.05


class SimCSE(UnlabelledKind[SimCSETask]):
    """SimCSE: every text stands twice in a step."""

    name = "simcse"
    section = SimCSEConfig
    losses = ("info_nce",)
    compares_examples = True
    by_dropout = True

    @property
    def task_type(self) -> type[SimCSETask]:
        return SimCSETask

    def resolve(self, name: str, plan: TaskPlan, training: TrainingLabels) -> SimCSETask:
        return SimCSETask(
            name, self.name, self.losses[0], self.default_metric, pooling=plan.pooling,
            dropout=0.0, temperature=plan.options["temperature"],
        )  # fmt: skip

    def layout(self, task: SimCSETask) -> Layout:
        """Return a text, and the same again."""
        return ((0,), (0,))

    def new_head(self, task: SimCSETask, encoder: EncoderConfig) -> ContrastiveHead:
        from accord.model.auxiliary import ContrastiveHead

        return ContrastiveHead(task, encoder)

    def head_losses(
        self, task: SimCSETask, head: Any, vectors: Tensor, targets: Tensor, context: HeadContext
    ) -> Tensor:
        losses: Tensor = head(vectors)
        return losses

    def text_losses(self, task: SimCSETask, passes: TextPasses) -> Tensor:
        """Return losses within groups of 64, in an order of their own: neighbours in a file may be
        alike."""
        import numpy as np
        import torch

        order = np.random.default_rng(0).permutation(len(passes))
        groups = [order[start : start + GROUP_ROWS] for start in range(0, len(order), GROUP_ROWS)]
        parts = [passes.together(passes.sequences(group), i) for i, group in enumerate(groups)]
        losses = torch.cat(parts)
        return losses.new_empty(len(order)).index_copy(
            0, torch.from_numpy(order).to(losses.device), losses
        )


KIND = SimCSE()
