"""The losses of texts without labels, in passes under fixed masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from accord.data.loader import Assembler, TaskData
from accord.encoders.packing import PackedBatch, TokenSequence, pack, placing
from accord.evaluation.passes import chunks, passes, tokens_of_a_pass
from accord.evaluation.pooling import evaluating
from accord.kernels.dropout import DropoutKey
from accord.kernels.matmul import DEFAULT, MatmulPolicy, computing
from accord.kinds import Hiding, kind_of
from accord.model.multitask import MultitaskModel

FIXED_MASKS = 0  # seed of an evaluation's masks
FIXED_WORDS = (FIXED_MASKS, 0, 0)  # key of the words that it hides


@torch.inference_mode()
def text_losses(
    model: MultitaskModel, data: TaskData, task: int, assembler: Assembler,
    matmul: MatmulPolicy = DEFAULT,
) -> Tensor:  # fmt: skip
    """Return each text's loss under fixed masks: float32 [rows, 1] on the host.

    Masks, of words or of dropout, are those of each text's place in the split, whatever the run's
    seed and step: the mean of two evaluations differs by the model alone.

    Args:
        model: whose task it is.
        data: the task's split.
        task: its index in the model.
        assembler: makes sequences.
        matmul: in what precision, and how this machine multiplies.
    """
    passes = _TextPasses(model, data, task, assembler, matmul)
    return kind_of(data.task).text_losses(data.task, passes).float().cpu()[:, None]


@dataclass(frozen=True)
class _TextPasses:
    """Passes over a split's texts (`accord.kinds.TextPasses`)."""

    model: MultitaskModel
    data: TaskData
    task: int
    assembler: Assembler
    matmul: MatmulPolicy

    def __len__(self) -> int:
        return len(self.data)

    @property
    def device(self) -> torch.device:
        return self.model.encoder.embeddings.word.device

    def chunks(self) -> Iterator[range]:
        for (rows,) in chunks([len(self)]):
            yield rows

    def sequences(self, rows: Sequence[int] | np.ndarray) -> list[TokenSequence]:
        return self.assembler.sequences(self.data, rows)

    def hiding(self, first: int) -> Hiding:
        return self.assembler.hiding(FIXED_WORDS, first)

    def alone(self, sequences: Sequence[TokenSequence], masked_share: float) -> Tensor:
        losses = torch.empty(len(sequences), device=self.device)
        for members, batch, vectors in self._pooled(sequences, masked_share):
            wanted = [torch.zeros(len(members), device=self.device)]
            with computing(self.matmul):
                (of_pass,) = self.model.losses([vectors], wanted, [self.task], words=batch.words)
            losses[members] = of_pass
        return losses

    def together(self, sequences: Sequence[TokenSequence], number: int) -> Tensor:
        vectors = torch.empty(
            len(sequences), self.model.encoder.config.hidden_size, device=self.device
        )
        masks = DropoutKey(FIXED_MASKS, number)
        for members, _, of_pass in self._pooled(sequences, key=masks):
            vectors[members] = of_pass.float()
        wanted = [torch.zeros(len(sequences) // self.data.task.sequences, device=self.device)]
        (losses,) = self.model.losses([vectors], wanted, [self.task])
        return losses

    def _pooled(
        self, sequences: Sequence[TokenSequence], masked_share: float = 0.0,
        key: DropoutKey | None = None,
    ) -> Iterator[tuple[Tensor, PackedBatch, Tensor]]:  # fmt: skip
        """Yield for each pass the numbers of its sequences, these packed, and what is pooled of
        them; under a key with dropout, whose masks differ by pass and by sequence."""
        evaluating(self.model)
        limit = tokens_of_a_pass(self.device, self.model.encoder.config, masked_share)
        for number, (_, members) in enumerate(passes([sequences], limit)):
            batch = pack([[sequences[i] for i in members]], self.matmul.row_multiple)
            batch, masks = batch.to(self.device), key and replace(key, micro_batch=number)
            with computing(self.matmul), self.matmul.autocast(self.device):
                (vectors,) = self.model.pooled(batch, [self.task], masks)
            yield placing(self.device)(torch.tensor(members)), batch, vectors
