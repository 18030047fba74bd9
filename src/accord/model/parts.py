"""The parts that tasks have of their own, as they act inside the shared encoder on one batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from accord.encoders.blocks import BlockHooks
from accord.encoders.encoder import Embeddings, Encoder, EncoderConfig, EncoderHooks
from accord.encoders.packing import PackedBatch
from accord.kernels.attention import AttentionPlan
from accord.kernels.dropout import DropoutKey
from accord.model.draws import drawn_for
from accord.sharing import Part, get_scheme
from accord.sharing._registry import EmbeddingPart, Rows, Slices


@dataclass(frozen=True)
class Sharing:
    """What tasks have of their own beside a head.

    Attributes:
        schemes: names in `accord.sharing`; none is hard sharing.
        options: of schemes, by name.
        only: the numbers of the tasks that have parts of a scheme, by its name, where not all have.
    """

    schemes: tuple[str, ...] = ()
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    only: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def of_task(self, task: int) -> Sharing:
        """Return what a task has, as a model of it alone has it."""
        names = [name for name in self.schemes if task in self.only.get(name, (task,))]
        return Sharing(tuple(names), {name: self.options.get(name, {}) for name in names})

    @staticmethod
    def joined(tasks: Sequence[Sharing]) -> Sharing:
        """Return what a model's tasks have, given each one's; their options must agree."""
        options = {name: value for each in tasks for name, value in each.options.items()}
        having = {
            name: tuple(i for i, each in enumerate(tasks) if name in each.schemes)
            for name in options
        }
        only = {name: which for name, which in having.items() if len(which) < len(tasks)}
        return Sharing(tuple(options), options, only)


def check_fit(config: EncoderConfig, sharing: Sharing) -> None:
    """Check that parts fit an encoder of some sizes, without memory for either.

    Raises:
        ValueError: an option that doesn't fit, naming the scheme.
    """
    if sharing.schemes:
        with torch.device("meta"):
            Parts(config.new_encoder(), 1, sharing)


class Parts(nn.Module):
    """All parts of all tasks.

    Args:
        encoder: beside whose layers they stand; what each task has a copy of is trained there no
            more.
        tasks: how many.
        sharing: which parts.

    Raises:
        ValueError: an option that doesn't fit the encoder, naming the scheme.
    """

    def __init__(self, encoder: Encoder, tasks: int, sharing: Sharing) -> None:
        super().__init__()
        self.schemes = nn.ModuleDict()
        self.embeddings: EmbeddingPart | None = None
        checked: dict[str, Mapping[str, Any]] = {}
        # Copies come first: the others act on what they make of a layer's place.
        for name in sorted(sharing.schemes, key=lambda name: not get_scheme(name).copies):
            scheme = get_scheme(name)
            options = checked[name] = scheme.check_options(sharing.options.get(name, {}))
            try:
                with drawn_for(name):
                    made = scheme.parts(list(encoder.layers), encoder.config, tasks, options)
            except ValueError as error:
                raise ValueError(f"methods.{name}: {error}") from None
            self.schemes[name] = nn.ModuleList(
                part.limited_to(sharing.only.get(name))
                if scheme.allowed_with_copies or not self._is_replaced(number)
                else Part([])
                for number, part in enumerate(made)
            )
            if scheme.embeddings is not None:
                self.embeddings = scheme.embeddings(encoder.embeddings, tasks)
                encoder.embeddings.requires_grad_(False)
        self.sharing = Sharing(sharing.schemes, checked, sharing.only)
        for number, layer in enumerate(encoder.layers):
            if self._is_replaced(number):
                layer.requires_grad_(False)

    def of_layer(self, number: int) -> list[Part]:
        """Return the parts beside a layer, counted from 0, in the order in which they act."""
        return [parts[number] for parts in self.schemes.values()]  # type: ignore[index]

    def _is_replaced(self, number: int) -> bool:
        return any(part.replaces for part in self.of_layer(number))

    def copies(self) -> list[list[Parameter]]:
        """Return for each tensor that tasks have copies of their copies, one per task."""
        groups = []
        for module in self.modules():
            if isinstance(module, Part) and module.replaces and len(module.per_task):
                by_task = [list(task.parameters()) for task in module.per_task]
                groups += [list(group) for group in zip(*by_task, strict=True)]
        return groups

    def is_copy(self, name: str) -> bool:
        """Whether a scheme's parts are copies of what is shared, and not new."""
        return get_scheme(name).copies

    def of_task(self, task: int) -> list[Parameter]:
        """Return a task's own parameters, each once."""
        return list(
            {id(parameter): parameter for _, parameter in self.named_of_task(task)}.values()
        )

    def named_of_task(self, task: int) -> Iterator[tuple[str, Parameter]]:
        """Yield a task's own parameters with their names here."""
        for name, module in self.named_modules():
            if isinstance(module, Part) and len(module.per_task):
                yield from module.per_task[task].named_parameters(prefix=f"{name}.per_task.{task}")

    def merge(self, task: int, encoder: Encoder) -> None:
        """Change an encoder so that by itself it does what it does with a task's parts.

        Raises:
            ValueError: if no plain BERT does that, naming the scheme.
        """
        for name, scheme in self.schemes.items():
            for part, layer in zip(scheme, encoder.layers, strict=True):  # type: ignore[call-overload]
                try:
                    part.merge(task, layer)
                except ValueError as error:
                    raise ValueError(f"'{name}' {error}") from None
        if self.embeddings is not None:
            encoder.embeddings.load_state_dict(self.embeddings.per_task[task].state_dict())

    def path(self, task: int) -> list[tuple[int, ...]]:
        """Return what identifies a task's parts in the embeddings, and then in each layer: tasks
        whose paths begin alike are computed together as long as they do."""
        layers = zip(*self.schemes.values(), strict=True)
        depths = [[] if self.embeddings is None else [self.embeddings], *layers]
        return [
            tuple(id(part.per_task[task]) for part in parts if part.serves(task))
            for parts in depths
        ]

    def hooks(self, batch: PackedBatch, present: Sequence[int]) -> EncoderHooks:
        """Return what acts on the encoder's parts on a batch of some tasks."""
        return _PartHooks(self, batch, present)


class _PartHooks(EncoderHooks):
    def __init__(self, parts: Parts, batch: PackedBatch, present: Sequence[int]) -> None:
        tokens = _slices(present, batch.task_tokens)
        self.parts, self.batch = parts, batch
        self.all = Rows(tokens, tokens)
        self.sequences = _slices(present, batch.task_rows)

    def embed(self, embeddings: Embeddings, batch: PackedBatch, key: DropoutKey | None) -> Tensor:
        if self.parts.embeddings is None:
            return super().embed(embeddings, batch, key)
        return self.parts.embeddings.embed(batch.ids, key, self.all.tokens)

    def block(self, number: int) -> BlockHooks:
        # Where tasks differ in what they have, a batch is of those that are alike in it.
        parts = [part for part in self.parts.of_layer(number)
                 if any(part.serves(task) for task, _, _ in self.all.here)]  # fmt: skip
        return _PartBlockHooks(self, parts, self.all)


class _PartBlockHooks(BlockHooks):
    def __init__(self, hooks: _PartHooks, parts: list[Part], rows: Rows) -> None:
        self.hooks, self.parts, self.rows = hooks, parts, rows
        self.replaced = any(part.replaces for part in parts)

    def of_first(self) -> BlockHooks:
        rows = Rows(self.rows.tokens, self.hooks.sequences, self.hooks.batch.cls_rows)
        return _PartBlockHooks(self.hooks, self.parts, rows)

    def dense(self, name: str, layer: nn.Module, x: Tensor) -> Tensor:
        y = x if self.replaced else super().dense(name, layer, x)
        for part in self.parts:
            y = part.dense(name, x, y, self.rows)
        return y

    def norm(self, name: str, layer: nn.Module, x: Tensor) -> Tensor:
        for part in reversed(self.parts):
            normed = part.norm(name, x, self.rows)
            if normed is not None:
                return normed
        return super().norm(name, layer, x)

    def after(self, half: str, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part.after(half, x, self.rows)
        return x

    def parallel(self, x: Tensor, added: Tensor, plan: AttentionPlan) -> Tensor:
        for part in self.parts:
            more = part.parallel(x, plan, self.rows)
            added = added if more is None else added + more
        return added


def _slices(present: Sequence[int], bounds: Sequence[tuple[int, int]]) -> Slices:
    return tuple(
        (task, start, stop) for task, (start, stop) in zip(present, bounds, strict=True)
        if start < stop
    )  # fmt: skip
