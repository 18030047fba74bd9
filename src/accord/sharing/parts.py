"""The parts that each task has of its own, and how they act inside the shared encoder."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from accord.attention import AttentionPlan, attend
from accord.bert import BertEncoder, Embeddings, EncoderOps, Layer, LayerNorm, LayerOps
from accord.dropout import DropoutKey
from accord.jacobian import TaskRows
from accord.packing import PackedBatch
from accord.sharing.bottleneck import Bottleneck
from accord.sharing.lora import layer_loras
from accord.sharing.pal import ProjectedAttention, Projections
from accord.sharing.slices import by_task, task_slices

SCHEMES = ("lora", "adapter", "pal", "task-norm")
_DROPOUT_SITE = 1 << 22  # of embeddings that a task has of its own


@dataclass(frozen=True)
class Sharing:
    """What tasks share.

    Attributes:
        schemes: parts that each task has beside the shared layers; none is hard sharing.
        shared_layers: the first so many layers are shared, each task has a copy of the others of
            its own; None shares all. -1 shares not even the embeddings: an encoder a task.
        lora_rank: r.
        lora_alpha: α.
        lora_layers: names of the dense layers that are updated.
        adapter_size: of the bottlenecks.
        pal_size: of the projected space.
        pal_heads: of its attention.
    """

    schemes: tuple[str, ...] = ()
    shared_layers: int | None = None
    lora_rank: int = 8
    lora_alpha: float = 16.0
    lora_layers: tuple[str, ...] = ("query", "key_value")
    adapter_size: int = 64
    pal_size: int = 204
    pal_heads: int = 12

    def own_layers(self, count: int) -> range:
        """Return which of `count` layers each task has a copy of its own of."""
        return range(count, count) if self.shared_layers is None else range(
            max(0, self.shared_layers), count
        )  # fmt: skip

    @property
    def is_hard(self) -> bool:
        """Whether all tasks share the whole encoder, and have nothing but a head."""
        return not self.schemes and self.shared_layers is None


class LayerPart(nn.Module):
    """What one task has beside one layer, or in its place."""

    def __init__(self, layer: Layer, sharing: Sharing, std: float, *, own: bool) -> None:
        super().__init__()
        hidden = layer.query.weight.shape[0]
        self.copy = copy.deepcopy(layer) if own else None
        self.lora: nn.ModuleDict | None = None
        self.after: nn.ModuleDict | None = None
        self.pal: ProjectedAttention | None = None
        self.norms: nn.ModuleDict | None = None
        if "lora" in sharing.schemes:
            self.lora = layer_loras(
                layer, sharing.lora_rank, sharing.lora_alpha, sharing.lora_layers
            )
        if "adapter" in sharing.schemes:
            self.after = nn.ModuleDict({
                half: Bottleneck(hidden, sharing.adapter_size, std)
                for half in ("attention", "feed_forward")
            })  # fmt: skip
        if "pal" in sharing.schemes:
            self.pal = ProjectedAttention(sharing.pal_size, std)
        if "task-norm" in sharing.schemes:
            self.norms = nn.ModuleDict({
                name: copy.deepcopy(getattr(layer, name))
                for name in ("attention_norm", "output_norm")
            })  # fmt: skip


class TaskPart(nn.Module):
    """All that one task has of its own inside the encoder."""

    def __init__(self, encoder: BertEncoder, sharing: Sharing) -> None:
        super().__init__()
        std = encoder.config.initializer_range
        copied = sharing.own_layers(len(encoder.layers))
        self.layers = nn.ModuleList(
            LayerPart(layer, sharing, std, own=i in copied)
            for i, layer in enumerate(encoder.layers)
        )
        self.projections: Projections | None = None
        if "pal" in sharing.schemes:
            self.projections = Projections(encoder.config.hidden_size, sharing.pal_size, std)
        self.embeddings: Embeddings | None = None
        if sharing.shared_layers == -1:
            self.embeddings = copy.deepcopy(encoder.embeddings)

    def layer(self, number: int) -> LayerPart:
        """Return what the task has beside a layer."""
        found: LayerPart = self.layers[number]  # type: ignore[assignment]
        return found


def leave_out_replaced(encoder: BertEncoder, sharing: Sharing) -> None:
    """Take out of training what every task has a copy of its own of."""
    copied = sharing.own_layers(len(encoder.layers))
    for i, layer in enumerate(encoder.layers):
        if i in copied:
            layer.requires_grad_(False)
    if sharing.shared_layers == -1:
        encoder.embeddings.requires_grad_(False)


class PartOps(EncoderOps):
    """The encoder as it acts on one batch, with each task's parts on its own rows.

    Args:
        parts: of all tasks, in the model's order.
        sharing: what they are.
        batch: whose rows these are.
        present: the tasks in it.
    """

    def __init__(
        self, parts: Sequence[TaskPart], sharing: Sharing, batch: PackedBatch,
        present: Sequence[int],
    ) -> None:  # fmt: skip
        self.parts, self.sharing, self.batch = parts, sharing, batch
        self.tokens = task_slices(present, batch.task_tokens)
        self.sequences = task_slices(present, batch.task_rows)

    def embed(
        self, embeddings: Embeddings, batch: PackedBatch, rows: TaskRows | None,
        key: DropoutKey | None,
    ) -> Tensor:  # fmt: skip
        """Return the first layer's input, from each task's own embeddings where they have any."""
        if self.sharing.shared_layers != -1:
            return super().embed(embeddings, batch, rows, key)

        def own(task: int, ids: Tensor) -> Tensor:
            part = self.parts[task].embeddings
            assert part is not None
            return part.of_ids(ids.unbind(1), None, key.at(_DROPOUT_SITE + task) if key else None)

        return by_task(self.tokens, torch.stack(batch.ids, 1), own)

    def layer(self, number: int) -> LayerOps:
        """Return how a layer acts."""
        return PartLayerOps(self, number)


class PartLayerOps(LayerOps):
    """A layer as it acts on one batch.

    Args:
        ops: the encoder's.
        number: of the layer.
        of_cls: whether activations are those of each sequence's first token alone.
    """

    def __init__(self, ops: PartOps, number: int, *, of_cls: bool = False) -> None:
        self.ops, self.number = ops, number
        self.parts = [part.layer(number) for part in ops.parts]
        self.slices = ops.sequences if of_cls else ops.tokens

    def of_cls(self) -> LayerOps:
        """Return the same for each sequence's first token."""
        return PartLayerOps(self.ops, self.number, of_cls=True)

    def dense(self, layer: Layer, name: str, x: Tensor, rows: TaskRows | None) -> Tensor:
        """Apply the shared layer with the task's low-rank update, or the task's own copy of it."""
        if self.parts[0].copy is not None:
            y = by_task(self.slices, x, lambda task, own: getattr(self.parts[task].copy, name)(
                own, None
            ))  # fmt: skip
        else:
            y = super().dense(layer, name, x, rows)
        if self.parts[0].lora is None or name not in self.parts[0].lora:
            return y
        updates = by_task(self.slices, x.to(y.dtype), lambda task, own: self._lora(task, name, own))
        return y + updates

    def _lora(self, task: int, name: str, x: Tensor) -> Tensor:
        loras = self.parts[task].lora
        assert loras is not None
        found: Tensor = loras[name](x)
        return found

    def norm(self, layer: Layer, name: str, x: Tensor, rows: TaskRows | None) -> Tensor:
        """Apply the task's own norm where it has one."""

        def own(task: int, part: Tensor) -> Tensor:
            norms, layer_copy = self.parts[task].norms, self.parts[task].copy
            norm: LayerNorm = norms[name] if norms is not None else getattr(layer_copy, name)  # type: ignore[assignment]
            found: Tensor = norm(part, None)
            return found

        if self.parts[0].norms is None and self.parts[0].copy is None:
            return super().norm(layer, name, x, rows)
        return by_task(self.slices, x, own)

    def after(self, half: str, x: Tensor) -> Tensor:
        """Apply the task's adapter."""
        if self.parts[0].after is None:
            return x
        return by_task(self.slices, x, lambda task, own: self.parts[task].after[half](own))  # type: ignore[index]

    def beside(self, x: Tensor, added: Tensor, plan: AttentionPlan) -> Tensor:
        """Add the task's projected attention."""
        if self.parts[0].pal is None:
            return added
        outer, tokens = self.ops.parts, self.ops.tokens
        z = by_task(tokens, x, lambda task, own: outer[task].projections.encode(own))  # type: ignore[union-attr]
        key_value = by_task(tokens, z, lambda task, own: self.parts[task].pal.key_value(own))  # type: ignore[union-attr]
        if self.slices is not tokens:
            z = z.index_select(0, self.ops.batch.cls_rows)
        query = by_task(self.slices, z, lambda task, own: self.parts[task].pal.query(own))  # type: ignore[union-attr]
        attended = attend(query, key_value, plan, self.ops.sharing.pal_heads)
        decoded = by_task(
            self.slices,
            attended,
            lambda task, own: outer[task].projections.decode(own),  # type: ignore[union-attr]
        )
        return added + decoded
