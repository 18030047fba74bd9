"""Hidden words of a text, predicted from the rest of it: BERT's first pretraining task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from accord.config.tasks import AuxiliaryConfig
from accord.kinds._context import HeadContext, Hiding, TextPasses, TrainingLabels
from accord.kinds._unlabelled import UnlabelledKind
from accord.tasks import Task

if TYPE_CHECKING:
    from torch import Tensor

    from accord.data.plan import TaskPlan
    from accord.encoders.encoder import EncoderConfig
    from accord.encoders.packing import TokenSequence
    from accord.kinds._targets import Array
    from accord.model.auxiliary import MaskedLMHead


class MaskedLMConfig(AuxiliaryConfig):
    """`[tasks.NAME]` with `kind = "masked-lm"`."""

    kind: Literal["masked-lm"]
    mask_share: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.15, description="Share of a text's tokens that are predicted; 80 % of them are masked,"
        " 10 % replaced by another word, and 10 % stay as they are."
    )  # fmt: skip


@dataclass(frozen=True)
class MaskedLMTask(Task):
    """`mask_share` is the share of a text's tokens that are predicted."""

    mask_share: float = 0.15


class MaskedLM(UnlabelledKind[MaskedLMTask]):
    """A masked language model; its head's pooling is the vectors of the masked words."""

    name = "masked-lm"
    section = MaskedLMConfig
    losses = ("masked_lm",)
    poolings = ("masked",)
    hides_words = True
    uses_word_table = True
    head_for = "the words of"

    @property
    def task_type(self) -> type[MaskedLMTask]:
        return MaskedLMTask

    def resolve(self, name: str, plan: TaskPlan, training: TrainingLabels) -> MaskedLMTask:
        return MaskedLMTask(
            name, self.name, self.losses[0], self.default_metric, pooling=self.poolings[0],
            dropout=0.0, mask_share=plan.options["mask_share"],
        )  # fmt: skip

    def hidden(
        self, task: MaskedLMTask, sequences: list[TokenSequence], hiding: Hiding
    ) -> list[TokenSequence]:
        """Return texts with words hidden (`accord.data.masking.mask_words`)."""
        from accord.data.masking import mask_words

        if hiding.mask is None:
            raise ValueError(f"'{task.name}': there is no [MASK] to hide words by")
        return mask_words(
            sequences, task.mask_share, hiding.mask, hiding.vocabulary, hiding.key, hiding.first
        )

    def step_sequences(
        self, task: MaskedLMTask, sequences: list[TokenSequence], hiding: Hiding
    ) -> list[TokenSequence]:
        from accord.data.masking import weighted

        return list(weighted(self.hidden(task, sequences, hiding)))

    def masked_words(self, task: MaskedLMTask, lengths: Array) -> float:
        return float(((lengths - 2) * task.mask_share).clip(min=1).mean())

    def new_head(self, task: MaskedLMTask, encoder: EncoderConfig) -> MaskedLMHead:
        from accord.model.auxiliary import MaskedLMHead

        return MaskedLMHead(encoder)

    def head_losses(
        self,
        task: MaskedLMTask,
        head: Any,
        vectors: Tensor,
        targets: Tensor,
        context: HeadContext,
    ) -> Tensor:
        losses: Tensor = head.losses(vectors, context.words, len(targets), context.table)
        return losses

    def text_losses(self, task: MaskedLMTask, passes: TextPasses) -> Tensor:
        """Return losses weighted so that their mean is that over all masked words, without
        dropout."""
        import torch

        parts, words = [], 0
        for rows in passes.chunks():
            sequences = self.hidden(task, passes.sequences(rows), passes.hiding(rows.start))
            words += sum(
                len(sequence.words.ids) for sequence in sequences if sequence.words is not None
            )
            parts.append(passes.alone(sequences, task.mask_share))
        return torch.cat(parts) * (len(passes) / words)


KIND = MaskedLM()
