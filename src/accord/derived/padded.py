"""A model's encoder and heads over padded sequences, as other runtimes execute them.

The blocks, heads and parts are those of the model; only the layout of their rows is another. A
task's parts are merged into its copy of a layer where that says the same; all tasks share a layer
up to the first in which they differ.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from accord.encoders.blocks import Block, BlockHooks
from accord.kernels.attention import AttentionPlan
from accord.kernels.attention.padded import PaddedPlan
from accord.kinds import kind_of, labelled_kind
from accord.model.multitask import MultitaskModel
from accord.pertask.bounds import TaskBounds
from accord.pertask.modules import Embedding, LayerNorm, Linear, RMSNorm
from accord.sharing._registry import Part, Rows
from accord.tasks import Task

_TORCHS_OWN = {
    Linear: nn.Linear, LayerNorm: nn.LayerNorm, RMSNorm: nn.RMSNorm, Embedding: nn.Embedding
}  # fmt: skip
_FROM_CLS = ("cls", "pooler")


class PaddedModel(nn.Module):
    """Some of a model's tasks, which read the same kind of input.

    Args:
        model: is left as it is.
        tasks: their numbers in the model; as many sequences each.

    Attributes:
        layers_computed: how many blocks one pass applies for all of the tasks.
    """

    def __init__(self, model: MultitaskModel, tasks: Sequence[int]) -> None:
        super().__init__()
        self.tasks = [model.tasks[task] for task in tasks]
        self.sequences = self.tasks[0].sequences if kind_of(self.tasks[0]).units == "rows" else 1
        encoder = copy.deepcopy(model.encoder)
        self.norm, self.pooler = encoder.norm, encoder.pooler
        parts = model.parts
        own = None if parts is None else parts.embeddings
        self.embeddings = nn.ModuleList(
            [encoder.embeddings] if own is None else [own.per_task[task] for task in tasks]
        )
        self.layers = nn.ModuleList(
            _Layer(block, [] if parts is None else parts.of_layer(number), tasks)
            for number, block in enumerate(encoder.layers)
        )
        self.heads = nn.ModuleList(model.heads[task.name] for task in self.tasks)
        self._in_torch_s_own_layers()
        widths = [len(self.embeddings), *(len(layer.blocks) for layer in self.layers)]  # type: ignore[arg-type]
        self.layers_computed = sum(max(widths[: i + 1]) for i in range(1, len(widths)))

    def _in_torch_s_own_layers(self) -> None:
        self.embeddings, self.heads = copy.deepcopy(self.embeddings), copy.deepcopy(self.heads)
        for module in self.modules():
            module.__class__ = _TORCHS_OWN.get(type(module), type(module))
        self.requires_grad_(False).eval()

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Answer for all tasks.

        Args:
            input_ids: int64 [B, L], or [n, 2, L] where a pair's texts are encoded separately.
            attention_mask: 1 at tokens, 0 at the padding behind them.
            token_type_ids: likewise; None are all 0.

        Returns:
            For each task its logits and its answers, float32. Logits are [B, outputs], of words
            [B, L, outputs]. Answers are probabilities of classes [B, labels], of words
            [B, L, labels], a regression's values in its own units, or candidates' scores, [B].
        """
        types = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        ids, mask, types = (x.flatten(0, -2) for x in (input_ids, attention_mask, types))
        batch = _Padded(ids, mask > 0, types)
        outputs: list[Tensor] = []
        for place, (task, hidden) in enumerate(zip(self.tasks, self._encode(batch), strict=True)):
            logits = self.heads[place](self._pooled(task, hidden, batch))
            if kind_of(task).units == "words":
                logits = logits.unflatten(0, batch.mask.shape)
            outputs += [logits, answers(task, logits)]
        return tuple(outputs)

    def _encode(self, batch: _Padded) -> list[Tensor]:
        """Return the last hidden states for each task, [B * L, H], or [B, H] of first tokens where
        all that share its states need no others."""
        states = [embeddings(batch.ids, None) for embeddings in self.embeddings]
        for number, layer in enumerate(self.layers, start=1):
            states = layer(states, batch, self._first_alone(number == len(self.layers), states))  # type: ignore[assignment]
        states = states if self.norm is None else [self.norm(x) for x in states]
        return states * (len(self.tasks) // len(states))

    def _first_alone(self, last: bool, states: Sequence[Tensor]) -> list[bool]:
        """Return for each task whether a layer need only compute first tokens for it."""
        from_cls = [
            last and kind_of(task).units != "words" and task.pooling in _FROM_CLS
            for task in self.tasks
        ]
        blocks = self.layers[-1].blocks
        alone = len(states) > 1 or len(blocks) > 1  # type: ignore[arg-type]
        return from_cls if alone else [all(from_cls)] * len(from_cls)

    def _pooled(self, task: Task, hidden: Tensor, batch: _Padded) -> Tensor:
        if kind_of(task).units == "words":
            return hidden
        count, length = batch.mask.shape
        whole = hidden.reshape(count, -1, hidden.shape[1])
        if task.pooling == "mean":
            mask = batch.mask[:, :, None].to(hidden.dtype)
            return (whole * mask).sum(1) / mask.sum(1)
        first = whole[:, 0]
        if task.pooling == "pooler":
            assert self.pooler is not None
            return torch.tanh(self.pooler(first))
        return first


class _Padded:
    """A padded batch: flat token, position and type ids, and where tokens are, bool [B, L]."""

    def __init__(self, input_ids: Tensor, mask: Tensor, token_type_ids: Tensor) -> None:
        count, length = input_ids.shape
        places = torch.arange(length, device=input_ids.device).expand(count, length)
        self.mask = mask
        self.ids = [ids.flatten() for ids in (input_ids, places, token_type_ids)]
        self.cls_rows = torch.arange(count, device=input_ids.device) * length


class _Layer(nn.Module):
    """A layer, or each task's where they differ in it.

    Args:
        block: the shared one.
        parts: beside it.
        tasks: numbers of the tasks among the parts'.
    """

    def __init__(self, block: Block, parts: Sequence[Part], tasks: Sequence[int]) -> None:
        super().__init__()
        self.blocks, self.hooks = nn.ModuleList(), []
        self.parts = nn.ModuleList(part for part in parts if len(part.per_task))
        for task in tasks if len(self.parts) else (None,):
            merged, beside = copy.deepcopy(block), list[Part]()
            for part in self.parts if task is not None else ():
                try:
                    part.merge(task, merged)  # type: ignore[operator]
                except ValueError:  # no plain layer says the same
                    beside.append(part)  # type: ignore[arg-type]
            self.blocks.append(merged)
            self.hooks.append(_Beside(beside, task or 0))

    def forward(self, states: list[Tensor], batch: _Padded, first: list[bool]) -> list[Tensor]:
        """Apply the layer to each of the states, or to one state for each task that differs."""
        count = max(len(states), len(self.blocks))
        result = []
        for place in range(count):
            block: Any = self.blocks[place % len(self.blocks)]
            hooks = self.hooks[place % len(self.hooks)]
            rows = (batch.cls_rows, TaskBounds((), ())) if first[place] else None
            plan = PaddedPlan.of(batch.mask, cls_queries=first[place])
            hooks = hooks.with_first(batch.cls_rows)
            result.append(block(states[place % len(states)], plan, None, rows, hooks))
        return result


class _Beside(BlockHooks):
    """A task's parts that no plain layer holds, which act on all rows."""

    def __init__(self, parts: Sequence[Part], task: int, rows: Rows | None = None) -> None:
        every = ((task, 0, sys.maxsize),)
        self.parts, self.task, self.rows = parts, task, rows or Rows(every, every)
        self.cls_rows: Tensor | None = None

    def with_first(self, cls_rows: Tensor) -> _Beside:
        """Return the same for a batch with these first tokens."""
        hooks = _Beside(self.parts, self.task)
        hooks.cls_rows = cls_rows
        return hooks

    def of_first(self) -> _Beside:
        return _Beside(self.parts, self.task, Rows(self.rows.tokens, self.rows.here, self.cls_rows))

    def dense(self, name: str, layer: nn.Module, x: Tensor) -> Tensor:
        y = super().dense(name, layer, x)
        for part in self.parts:
            y = part.dense(name, x, y, self.rows)
        return y

    def after(self, half: str, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part.after(half, x, self.rows)
        return x

    def parallel(self, x: Tensor, added: Tensor, plan: AttentionPlan) -> Tensor:
        for part in self.parts:
            more = part.parallel(x, plan, self.rows)
            added = added if more is None else added + more
        return added


class _Float32(TorchFunctionMode):
    """Within it `.double()` changes nothing: many runtimes have no float64."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return args[0] if func is Tensor.double else func(*args, **(kwargs or {}))


def answers(task: Task, logits: Tensor) -> Tensor:
    """Return what a task's logits say, as `PaddedModel` gives it."""
    kind = labelled_kind(task)
    if kind.units == "sequences":  # a score of each candidate
        return logits.squeeze(-1)
    with _Float32():
        if kind.units == "words":
            return logits.softmax(-1)
        shares = kind.probabilities(task, logits)
        return kind.decode(task, logits) if shares is None else shares
