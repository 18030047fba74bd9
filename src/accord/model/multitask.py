"""One encoder and a head per task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.nn import functional as F

from accord.data.batches import View
from accord.encoders.encoder import NO_HOOKS, Encoder, EncoderHooks, Shifted
from accord.encoders.packing import PackedBatch, PackedWords
from accord.encoders.units import Units
from accord.kernels.dropout import DropoutKey
from accord.kinds import HeadContext, kind_of, labelled_kind
from accord.model.draws import drawn_for
from accord.model.heads import Head, TaskHead
from accord.model.parts import Parts, Sharing
from accord.optim.averaging import Averages
from accord.tasks import Task

Way = Sequence[tuple[Any, ...]]
"""What identifies a task's way through the embeddings, and then through each layer."""

HARD = Sharing()
NO_WORDS: Mapping[int, PackedWords] = MappingProxyType({})
_HEAD_SITE = 1 << 24  # dropout sites of the heads, beyond any layer's


class MultitaskModel(nn.Module):
    """A shared encoder with a head for each task.

    Args:
        encoder: shared by all tasks.
        tasks: in the order in which batches hold them.
        sharing: what of the encoder they share; default: all of it.

    Raises:
        ValueError: if a task pools by a pooler that the encoder hasn't got, or its name is taken.
    """

    def __init__(self, encoder: Encoder, tasks: Sequence[Task], sharing: Sharing = HARD) -> None:
        super().__init__()
        for task in tasks:
            if hasattr(nn.ModuleDict(), task.name):
                raise ValueError(f"tasks.{task.name}: a module's own name; choose another")
            if task.pooling == "pooler" and encoder.pooler is None:
                raise ValueError(f"task '{task.name}' pools by 'pooler'; the encoder has none")
        self.encoder = encoder
        self.tasks = tuple(tasks)
        self.parts = Parts(encoder, len(tasks), sharing) if sharing.schemes else None
        self.heads = nn.ModuleDict()
        for task in tasks:
            with drawn_for(task.name):  # alone as beside others, with parts as without
                self.heads[task.name] = kind_of(task).new_head(task, encoder.config)

    def head(self, name: str) -> Head:
        """Return the head of a task with labels."""
        head: Head = self.heads[name]  # type: ignore[assignment]
        return head

    def task_heads(self) -> dict[str, TaskHead]:
        """Return the heads of all tasks, by name."""
        return dict(self.heads.items())  # type: ignore[arg-type]

    @property
    def labelled(self) -> tuple[Task, ...]:
        """The tasks with labels, in order: those that predict something."""
        return tuple(task for task in self.tasks if task.labelled)

    def pooled(
        self,
        batch: PackedBatch,
        present: Sequence[int],
        key: DropoutKey | None = None,
        shift: Tensor | None = None,
        views: Sequence[View] | None = None,
    ) -> list[Tensor]:
        """Encode a batch and pool what each head sees to vectors.

        Args:
            batch: holds groups of sequences; without views those of the present tasks in order.
            present: indices of the tasks.
            key: names the dropout masks; None is evaluation.
            shift: added to the first layer's input, [N, H]; None is nothing.
            views: what of the batch each present task's head sees; None: a group each.

        Returns:
            For each present task a tensor [sequences, H], of its words [words, H] where its kind
            labels words; a masked language model's holds the vectors of its masked words, [m, H].
        """
        if views is None:
            views = [View(task, group) for group, task in enumerate(present)]
        cls_only = self.sees_cls_only(present)
        owners = {view.group: view.task for view in reversed(views)}
        hooks = self.hooks(batch, [owners[group] for group in sorted(owners)])
        hooks = hooks if shift is None else Shifted(hooks, shift)
        return self.viewed(self.encoder(batch, key, cls_only, hooks), batch, views, cls_only)

    def sees_cls_only(self, tasks: Sequence[int]) -> bool:
        """Whether some tasks' heads see each sequence's first token alone."""
        return all(self.tasks[i].sees_cls_only for i in tasks)

    @cached_property
    def alike(self) -> tuple[int, ...]:
        """For each task the number of the first that sees the same vectors of what both read."""
        first: dict[object, int] = {}
        return tuple(
            first.setdefault((self.way(i), kind_of(task).units, task.pooling), i)
            for i, task in enumerate(self.tasks)
        )

    def way(self, task: int) -> Way:
        """Return a task's way through the encoder.

        Of the last layer it says too whether first tokens alone are wanted, as they are computed in
        products of their own.
        """
        layers = len(self.encoder.layers)
        parts = [()] * (layers + 1) if self.parts is None else self.parts.path(task)
        return (*parts[:-1], (parts[-1], self.sees_cls_only([task])))

    def viewed(
        self, hidden: Tensor, batch: PackedBatch, views: Sequence[View], cls_only: bool
    ) -> list[Tensor]:
        """Pool what each view's head sees; arguments and result as `pooled`.

        Args:
            hidden: the encoder's output, [N, H], or [B, H] of first tokens alone.
            batch: that it is of.
            views: of the batch.
            cls_only: whether it is of first tokens alone.
        """
        cls = hidden if cls_only else hidden.index_select(0, batch.cls_rows)
        tasks = [self.tasks[view.task] for view in views]
        means = None
        if any(kind_of(task).units != "words" and task.pooling == "mean" for task in tasks):
            means = batch.means(hidden)
        return [self._viewed(view, batch, hidden, cls, means) for view in views]

    def _viewed(
        self, view: View, batch: PackedBatch, hidden: Tensor, cls: Tensor, means: Tensor | None
    ) -> Tensor:
        """Return the vectors that a head sees.

        Args:
            view: of the batch.
            batch: as it was packed.
            hidden: the encoder's output, [N, H], or of first tokens alone.
            cls: of each sequence's first token, [B, H].
            means: of each sequence's tokens, [B, H]; None where nobody asks.
        """
        task, group = self.tasks[view.task], view.group
        if kind_of(task).units == "words":
            spans = batch.spans[group] if group in batch.spans else batch.input_ids.new_empty(0, 2)
            return _word_vectors(hidden, _chosen(spans, view.index), task.pooling)
        if task.pooling == "masked":
            words = batch.words.get(group)
            return hidden[:0] if words is None else hidden.index_select(0, words.rows)
        start, stop = batch.task_sequences[group]
        if task.pooling == "mean":
            assert means is not None
            return _chosen(means[start:stop], view.index)
        vectors = _chosen(cls[start:stop], view.index)
        if task.pooling == "pooler":
            with batch.bounds_of(group, len(vectors)).applied():
                return self.encoder.pool(vectors)
        return vectors

    def hooks(self, batch: PackedBatch, owners: Sequence[int]) -> EncoderHooks:
        """Return what acts on the encoder's parts, given the task that each group is of."""
        return NO_HOOKS if self.parts is None else self.parts.hooks(batch, owners)

    def named_parts(self) -> tuple[list[tuple[str, Parameter]], list[tuple[str, Parameter]]]:
        """Return the tasks' copies of shared layers, and their new parts, by name."""
        copies: list[tuple[str, Parameter]] = []
        parts: list[tuple[str, Parameter]] = []
        for scheme, module in ({} if self.parts is None else self.parts.schemes).items():
            named = module.named_parameters(prefix=f"parts.schemes.{scheme}")
            (copies if self.parts and self.parts.is_copy(scheme) else parts).extend(named)
        if self.parts is not None and self.parts.embeddings is not None:
            copies += self.parts.embeddings.named_parameters(prefix="parts.embeddings")
        return copies, parts

    def own_parameters(self, task: int) -> list[Parameter]:
        """Return what only one task has: its head, and its parts of the encoder."""
        parts = [] if self.parts is None else self.parts.of_task(task)
        return [*self.heads[self.tasks[task].name].parameters(), *parts]

    def logits(
        self,
        pooled: Sequence[Tensor],
        present: Sequence[int],
        key: DropoutKey | None = None,
        units: Sequence[Units | None] | None = None,
    ) -> list[Tensor]:
        """Apply each present task's head to its pooled vectors.

        Args:
            pooled: as `pooled` gives it.
            present: indices of the tasks.
            key: names the dropout masks; None is evaluation.
            units: where each task's vectors belong, for kinds with a varying number of them.

        Returns:
            For each task [n, outputs], or [n, most, outputs] where an example has several units.
        """
        logits = []
        for place, (vectors, i) in enumerate(zip(pooled, present, strict=True)):
            task = self.tasks[i]
            outputs = self.heads[task.name](vectors, key.at(_HEAD_SITE + i) if key else None)
            where = None if units is None else units[place]
            logits.append(labelled_kind(task).arranged(task, outputs, where))
        return logits

    def losses(
        self,
        pooled: Sequence[Tensor],
        targets: Sequence[Tensor],
        present: Sequence[int],
        key: DropoutKey | None = None,
        words: Mapping[int, PackedWords] = NO_WORDS,
        units: Sequence[Units | None] | None = None,
    ) -> list[Tensor]:
        """Return the loss of each example, [n] for each present task, as its head is trained.

        Args:
            pooled: as `pooled` gives it.
            targets: float32 [n] for each present task.
            present: indices of those tasks.
            key: names the dropout masks; None is evaluation.
            words: by place among the present tasks, what the masked words were.
            units: where each task's vectors belong, for kinds with a varying number of them.
        """
        losses = []
        for row, (vectors, target, i) in enumerate(zip(pooled, targets, present, strict=True)):
            task, kind = self.tasks[i], kind_of(self.tasks[i])
            context = HeadContext(
                key=key.at(_HEAD_SITE + i) if key else None,
                words=words.get(row),
                table=self._word_table(i),
                units=None if units is None else units[row],
            )
            losses.append(kind.head_losses(task, self.heads[task.name], vectors, target, context))
        return losses

    def label_losses(
        self, logits: Sequence[Tensor], targets: Sequence[Tensor], present: Sequence[int]
    ) -> list[Tensor]:
        """Return the loss of each labelled example, [n] for each present task, from logits."""
        losses = []
        for logit, target, i in zip(logits, targets, present, strict=True):
            task, kind = self.tasks[i], labelled_kind(self.tasks[i])
            losses.append(kind.label_losses(task, self.head(task.name), logit, target))
        return losses

    def divergences(
        self, one: Sequence[Tensor], other: Sequence[Tensor], present: Sequence[int]
    ) -> list[Tensor]:
        """Return how far apart two passes' logits are, [n] for each present task, as its loss."""
        divergences = []
        for (a, b), i in zip(zip(one, other, strict=True), present, strict=True):
            task, kind = self.tasks[i], labelled_kind(self.tasks[i])
            divergences.append(kind.head_divergences(task, self.head(task.name), a, b))
        return divergences

    def directions(self, present: Sequence[int]) -> list[int]:
        """Return, for each present task, how many one-sided divergences are in its own."""
        return [labelled_kind(self.tasks[i]).directions(self.tasks[i]) for i in present]

    def _word_table(self, task: int) -> Parameter:
        """Return the word embeddings that a task's texts go through."""
        embeddings = None if self.parts is None else self.parts.embeddings
        if embeddings is None:
            return self.encoder.word_table
        table: Parameter = embeddings.per_task[task].word  # type: ignore[assignment]
        return table

    def uses_word_table(self, present: Sequence[int]) -> bool:
        """Whether any of some tasks' heads multiplies by the word embeddings: every word has a
        gradient then."""
        return any(kind_of(self.tasks[i]).uses_word_table for i in present)

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
        for target, i in zip(targets, present, strict=True):
            self.head(self.tasks[i].name).observe(target, averages)


def _chosen(rows: Tensor, index: Tensor | None) -> Tensor:
    return rows if index is None else rows.index_select(0, index)


def _word_vectors(hidden: Tensor, spans: Tensor, pooling: str) -> Tensor:
    """Return words' vectors, [words, H]: their first tokens' or the mean of all their tokens'.

    Args:
        hidden: [N, H].
        spans: int64 [words, 2], where each word begins and ends, ascending.
        pooling: "first" or "mean".
    """
    if pooling == "first":
        return hidden.index_select(0, spans[:, 0])
    starts, stops = spans.unbind(1)
    # No shape depends on how many tokens words have, which a GPU would be waited for to tell: each
    # token is added to the first word that ends behind it, or to one too many if that begins later.
    tokens = torch.arange(len(hidden), device=hidden.device)
    words = torch.searchsorted(stops.contiguous(), tokens, right=True)
    words = torch.where(tokens < F.pad(starts, (0, 1), value=len(hidden))[words], len(spans), words)
    sums = hidden.new_zeros(len(spans) + 1, hidden.shape[1]).index_add_(0, words, hidden)
    return sums[:-1] / (stops - starts)[:, None]
