"""A model's encoder and heads over padded sequences, as other runtimes execute them.

The blocks, heads and parts are those of the model; only the layout of their rows is another. A
task's parts are merged into its copy of a layer where that says the same; all tasks share a layer
up to the first in which they differ.
"""

from __future__ import annotations

import copy
import itertools
import sys
from collections.abc import Iterable, Sequence
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


def _copies(modules: Iterable[nn.Module]) -> nn.ModuleList:
    return nn.ModuleList(map(copy.deepcopy, modules))


class PaddedModel(nn.Module):
    """Some of a model's tasks, which read the same kind of input.

    Args:
        model: is left as it is.
        tasks: their numbers in the model; as many sequences each.
    """

    def __init__(self, model: MultitaskModel, tasks: Sequence[int]) -> None:
        super().__init__()
        self.tasks = [model.tasks[task] for task in tasks]
        encoder, parts = model.encoder, model.parts
        differing = None if parts is None else parts.embeddings
        self.embeddings = _copies(
            [encoder.embeddings] if differing is None else [differing.per_task[i] for i in tasks]
        )
        self.layers = nn.ModuleList(
            _Layer(block, [] if parts is None else parts.of_layer(number), tasks)
            for number, block in enumerate(encoder.layers)
        )
        self.norm, self.pooler = copy.deepcopy((encoder.norm, encoder.pooler))
        self.heads = _copies(model.heads[task.name] for task in self.tasks)
        for module in self.modules():
            module.__class__ = _TORCHS_OWN.get(type(module), type(module))
        self.requires_grad_(False).eval()

    @property
    def layers_computed(self) -> int:
        """How many blocks one pass applies for all of the tasks."""
        widths = [len(self.embeddings), *(len(layer.tasks) for layer in self.layers)]  # type: ignore[arg-type]
        return sum(itertools.accumulate(widths, max)) - len(self.embeddings)

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
        all that share them need no others."""
        *before, last = self.layers
        states = [embeddings(batch.ids, None) for embeddings in self.embeddings]
        for layer in before:
            states = layer(states, batch, [False] * len(self.tasks))
        from_cls = [
            kind_of(task).units != "words" and task.pooling in _FROM_CLS for task in self.tasks
        ]
        shared = len(states) == len(last.tasks) == 1  # type: ignore[arg-type]
        states = last(states, batch, [all(from_cls)] if shared else from_cls)
        states = states if self.norm is None else [self.norm(x) for x in states]
        return states * (len(self.tasks) // len(states))

    def _pooled(self, task: Task, hidden: Tensor, batch: _Padded) -> Tensor:
        if kind_of(task).units == "words":
            return hidden
        whole = hidden.reshape(batch.mask.shape[0], -1, hidden.shape[1])
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
        differing = [part for part in parts if len(part.per_task)]
        self.tasks = list(tasks) if differing else [0]
        self.blocks, beside = nn.ModuleList(), list[Part]()
        for task in self.tasks:
            merged = copy.deepcopy(block)
            beside = [part for part in differing if not _merged(part, task, merged)]
            self.blocks.append(merged)
        self.beside = nn.ModuleList(map(copy.deepcopy, beside))

    def forward(self, states: list[Tensor], batch: _Padded, first: list[bool]) -> list[Tensor]:
        """Apply the layer to the states that all tasks share or that each has.

        Args:
            states: one for all tasks, or one for each.
            batch: as it is padded.
            first: for each of the results, whether it is to be of first tokens alone.
        """
        results = []
        for place in range(max(len(states), len(self.blocks))):
            own = place % len(self.blocks)
            rows = (batch.cls_rows, TaskBounds((), ())) if first[place] else None
            plan = PaddedPlan.of(batch.mask, cls_queries=first[place])
            hooks = _Beside(self.beside, self.tasks[own], batch.cls_rows)
            x = states[place % len(states)]
            results.append(self.blocks[own](x, plan, None, rows, hooks))
        return results


def _merged(part: Part, task: int, block: Block) -> bool:
    """Merge a task's part into its copy of a block, if a block alone can say the same."""
    try:
        part.merge(task, block)
    except ValueError:
        return False
    return True


class _Beside(BlockHooks):
    """A task's parts that no block holds, which act on all rows.

    Args:
        parts: beside one layer.
        task: its number among theirs.
        cls_rows: the row of each sequence's first token.
        first: whether activations at hand are those rows alone.
    """

    def __init__(
        self, parts: Iterable[nn.Module], task: int, cls_rows: Tensor, first: bool = False
    ) -> None:
        self.parts: list[Part] = list(parts)  # type: ignore[arg-type]
        self.task, self.cls_rows = task, cls_rows
        every = ((task, 0, sys.maxsize),)
        self.rows = Rows(every, every, cls_rows if first else None)

    def of_first(self) -> BlockHooks:
        return _Beside(self.parts, self.task, self.cls_rows, first=True)

    def dense(self, name: str, layer: nn.Module, x: Tensor) -> Tensor:
        y = super().dense(name, layer, x)
        for part in self.parts:
            y = part.dense(name, x, y, self.rows)
        return y

    def norm(self, name: str, layer: nn.Module, x: Tensor) -> Tensor:
        normed = (part.norm(name, x, self.rows) for part in reversed(self.parts))
        theirs = next((y for y in normed if y is not None), None)
        return super().norm(name, layer, x) if theirs is None else theirs

    def after(self, half: str, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part.after(half, x, self.rows)
        return x

    def parallel(self, x: Tensor, added: Tensor, plan: AttentionPlan) -> Tensor:
        more = (part.parallel(x, plan, self.rows) for part in self.parts)
        return added + sum(y for y in more if y is not None)


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
