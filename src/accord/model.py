"""One encoder and a head per task."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from accord.averaging import Averages
from accord.bert import PLAIN, BertEncoder, EncoderOps, Shifted
from accord.dropout import DropoutKey
from accord.heads import Head
from accord.jacobian import Jacobian
from accord.losses import DIVERGENCES, LOSSES
from accord.packing import PackedBatch
from accord.parts import Parts, Sharing
from accord.tasks import Task

HARD = Sharing()
_HEAD_SITE = 1 << 24  # dropout sites of the heads, beyond any layer's


class MultitaskModel(nn.Module):
    """A shared BERT encoder with a head for each task.

    Args:
        encoder: shared by all tasks.
        tasks: in the order in which batches hold them.
        sharing: what of the encoder they share; default: all of it.

    Raises:
        ValueError: if a task pools by a pooler that the encoder hasn't got, or its name is taken.
    """

    def __init__(
        self, encoder: BertEncoder, tasks: Sequence[Task], sharing: Sharing = HARD
    ) -> None:
        super().__init__()
        for task in tasks:
            if hasattr(nn.ModuleDict(), task.name):
                raise ValueError(f"tasks.{task.name}: a module's own name; choose another")
            if task.pooling == "pooler" and encoder.pooler is None:
                raise ValueError(f"task '{task.name}' pools by 'pooler'; the encoder has none")
        self.encoder = encoder
        self.tasks = tuple(tasks)
        self.parts = Parts(encoder, len(tasks), sharing) if sharing.schemes else None
        hidden, std = encoder.config.hidden_size, encoder.config.initializer_range
        self.heads = nn.ModuleDict({task.name: Head(task, hidden, std) for task in tasks})

    def head(self, name: str) -> Head:
        """Return a task's head."""
        head: Head = self.heads[name]  # type: ignore[assignment]
        return head

    def pooled(
        self,
        batch: PackedBatch,
        present: Sequence[int],
        jacobian: Jacobian | None = None,
        key: DropoutKey | None = None,
        shift: Tensor | None = None,
    ) -> list[Tensor]:
        """Encode a batch and pool each sequence to a vector.

        Args:
            batch: holds the present tasks' sequences in order.
            present: indices of those tasks.
            jacobian: collects the encoder's gradients by task.
            key: names the dropout masks; None is evaluation.
            shift: added to the first layer's input, [N, H]; None is nothing.

        Returns:
            For each present task a tensor [sequences, H].
        """
        poolings = [self.tasks[i].pooling for i in present]
        cls_only = "mean" not in poolings
        ops = self._ops(batch, present)
        ops = ops if shift is None else Shifted(ops, shift)
        hidden = self.encoder(batch, jacobian, key, cls_only, ops)
        cls = hidden if cls_only else hidden.index_select(0, batch.cls_rows)
        means = None if cls_only else _means(hidden, batch)
        vectors = []
        for row, (pooling, (start, stop)) in enumerate(
            zip(poolings, batch.task_sequences, strict=True)
        ):
            if pooling == "mean":
                assert means is not None
                vectors.append(means[start:stop])
            elif pooling == "pooler":
                rows = jacobian.task(row, stop - start) if jacobian else None
                vectors.append(self.encoder.pool(cls[start:stop], rows))
            else:
                vectors.append(cls[start:stop])
        return vectors

    def _ops(self, batch: PackedBatch, present: Sequence[int]) -> EncoderOps:
        return PLAIN if self.parts is None else self.parts.ops(batch, present)

    def named_parts(self) -> tuple[list[tuple[str, Parameter]], list[tuple[str, Parameter]]]:
        """Return the tasks' copies of shared layers, and their new parts, by name."""
        copies: list[tuple[str, Parameter]] = []
        parts: list[tuple[str, Parameter]] = []
        for scheme, own in ({} if self.parts is None else self.parts.schemes).items():
            named = own.named_parameters(prefix=f"parts.schemes.{scheme}")
            (copies if self.parts and self.parts.is_copy(scheme) else parts).extend(named)
        if self.parts is not None and self.parts.embeddings is not None:
            copies += self.parts.embeddings.named_parameters(prefix="parts.embeddings")
        return copies, parts

    def own_parameters(self, task: int) -> list[Parameter]:
        """Return what only one task has: its head, and its parts of the encoder."""
        parts = [] if self.parts is None else self.parts.of_task(task)
        return [*self.head(self.tasks[task].name).parameters(), *parts]

    def logits(
        self, pooled: Sequence[Tensor], present: Sequence[int], key: DropoutKey | None = None
    ) -> list[Tensor]:
        """Apply each present task's head to its pooled vectors: a list of [n, outputs]."""
        return [
            self.heads[self.tasks[i].name](vectors, key.at(_HEAD_SITE + i) if key else None)
            for vectors, i in zip(pooled, present, strict=True)
        ]

    def losses(
        self, logits: Sequence[Tensor], targets: Sequence[Tensor], present: Sequence[int]
    ) -> list[Tensor]:
        """Return the loss of each example, [n] for each present task, as its head is trained."""
        return [
            self._scaled(LOSSES[self.tasks[i].loss](own, target), i)
            for own, target, i in zip(logits, targets, present, strict=True)
        ]

    def divergences(
        self, one: Sequence[Tensor], other: Sequence[Tensor], present: Sequence[int]
    ) -> list[Tensor]:
        """Return how far apart two passes' logits are, [n] for each present task, as its loss."""
        return [
            self._scaled(DIVERGENCES[self.tasks[i].loss](*own), i)
            for own, i in zip(zip(one, other, strict=True), present, strict=True)
        ]

    def _scaled(self, losses: Tensor, task: int) -> Tensor:
        scale = self.head(self.tasks[task].name).scale
        return losses if scale is None else scale.losses(losses)

    def observe(
        self,
        targets: Sequence[Tensor],
        present: Sequence[int],
        averages: Averages | None = None,
    ) -> None:
        """Show a step's targets, [n] for each present task, to the heads that follow them.

        Args:
            targets: of the present tasks.
            present: their indices.
            averages: of the weights, which are to follow too.
        """
        for own, i in zip(targets, present, strict=True):
            self.head(self.tasks[i].name).observe(own, averages)


def _means(hidden: Tensor, batch: PackedBatch) -> Tensor:
    """Average each sequence's tokens: [N, H] -> [B, H]."""
    lengths = torch.tensor(batch.lengths, device=hidden.device)
    sequence = torch.repeat_interleave(torch.arange(len(lengths), device=hidden.device), lengths)
    sums = hidden.new_zeros(len(lengths), hidden.shape[1]).index_add_(0, sequence, hidden)
    return sums / lengths[:, None]
