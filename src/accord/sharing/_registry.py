"""What a sharing scheme is, how its parts act, and how its file registers it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from accord.encoders.blocks import Block
from accord.encoders.encoder import Embeddings, EncoderConfig
from accord.kernels.attention import AttentionPlan
from accord.kernels.dropout import DropoutKey
from accord.methods import Description, Registry, Requires, nothing

_DROPOUT_SITE = 1 << 22  # of embeddings: beyond any layer's

Slices = tuple[tuple[int, int, int], ...]
"""(task, start, stop), which together cover all rows in order; a task may have none."""


@dataclass(frozen=True)
class Rows:
    """Which rows of a batch's activations belong to which task.

    Attributes:
        tokens: of activations of all tokens.
        here: of those at hand: all tokens, or each sequence's first.
        first: the row of each sequence's first token where `here` are these alone; else None.
    """

    tokens: Slices
    here: Slices
    first: Tensor | None = None


class Absent(nn.ModuleDict):
    """Stands where a task has no part."""


class Part(nn.Module):
    """What each task has beside one layer of the encoder, or before the first.

    Every function here is the one that changes nothing.

    Args:
        parts: each task's modules, in the model's order of tasks.
    """

    replaces = False
    """Whether it takes the whole layer's place: the shared one is then not trained, nor applied."""

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.per_task = nn.ModuleList(parts)

    def serves(self, task: int) -> bool:
        """Whether a task has a part here."""
        return bool(len(self.per_task)) and not isinstance(self.per_task[task], Absent)

    def limited_to(self, tasks: Collection[int] | None) -> Self:
        """Take the parts of all but some tasks away; None are all tasks."""
        for task in range(len(self.per_task)):
            if tasks is not None and task not in tasks:
                self.per_task[task] = Absent()
        return self

    def by_task(
        self, slices: Slices, x: Tensor, apply: Callable[[nn.Module, Tensor], Tensor]
    ) -> Tensor:
        """Apply a function of a task's module and its rows to all rows: [N, k] -> [N, m]."""
        parts = [apply(self.per_task[task], x[start:stop]) for task, start, stop in slices]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def dense(self, name: str, x: Tensor, y: Tensor, rows: Rows) -> Tensor:
        """Change what the layer's dense layer `name` makes of x: y."""
        return y

    def norm(self, name: str, x: Tensor, rows: Rows) -> Tensor | None:
        """Take the place of the layer's norm `name`, or return None."""
        return None

    def after(self, half: str, x: Tensor, rows: Rows) -> Tensor:
        """Change what the attention or the feed_forward `half` gives, before it is added."""
        return x

    def merge(self, task: int, layer: Block) -> None:
        """Merge the task's part into a copy of the layer, which then does the same by itself.

        Raises:
            ValueError: if no plain layer does that.
        """
        if self.serves(task):
            raise ValueError("adds layers of its own, so no plain BERT says the same")

    def parallel(self, x: Tensor, plan: AttentionPlan, rows: Rows) -> Tensor | None:
        """Return what is added before the last norm, of the layer's input x [N, H]; or None."""
        return None


class EmbeddingPart(Part):
    """Each task's own embeddings, in the shared ones' place."""

    replaces = True

    def embed(self, ids: Sequence[Tensor], key: DropoutKey | None, slices: Slices) -> Tensor:
        """Return the first layer's input [N, H] of token, position and type ids [N] each."""

        def embed(task: int, module: nn.Module, part: Tensor) -> Tensor:
            assert isinstance(module, Embeddings)
            at = key.at(_DROPOUT_SITE + task) if key else None
            embedded: Tensor = module(part.unbind(1), at)
            return embedded

        rows = torch.stack(list(ids), 1)
        parts = [embed(task, self.per_task[task], rows[start:stop]) for task, start, stop in slices]
        return torch.cat(parts)


FirstLayer = Callable[[int, Mapping[str, Any]], int]
"""(layers, options) -> the first one that has parts, counted from 1."""


def _from_the_first(layers: int, options: Mapping[str, Any]) -> int:
    return 1


MakeParts = Callable[..., list[Part]]
"""(layers, config, tasks, **options) -> a part for each layer."""


@dataclass(frozen=True)
class Scheme(Description):
    """A sharing scheme.

    Attributes:
        copies: whether the parts are copies of shared layers in their place: these learn at the
            encoder's rate. Other parts leave a new model's output unchanged to the bit.
        embeddings: makes the tasks' own embeddings; None shares them.
        allowed_with_copies: whether its parts have a place in layers that tasks have copies of.
        first_layer: the first layer that has parts, counted from 1, of how many layers and by the
            options; default: the first of all.
    """

    copies: bool = False
    embeddings: Callable[[Embeddings, int], EmbeddingPart] | None = None
    allowed_with_copies: bool = True
    first_layer: FirstLayer = _from_the_first

    def differs_from(self, layers: int, options: Mapping[str, object]) -> int:
        """Return the first place at which tasks differ: 0 is the embeddings, i the i-th layer.

        Args:
            layers: of the encoder.
            options: of the scheme.

        Raises:
            ValueError: options that it can't have.
        """
        checked = self.check_options(options)
        return 0 if self.embeddings is not None else self.first_layer(layers, checked)

    def parts(
        self, layers: Sequence[Block], config: EncoderConfig, tasks: int, options: dict[str, object]
    ) -> list[Part]:
        """Make the parts of all layers.

        Raises:
            ValueError: options that don't fit the encoder.
        """
        made: list[Part] = self.function(layers, config, tasks, **options)
        return made


SCHEMES: Registry[Scheme] = Registry("sharing")


def scheme(
    name: str,
    *,
    paper: str,
    use: str,
    cost: str,
    copies: bool = False,
    embeddings: Callable[[Embeddings, int], EmbeddingPart] | None = None,
    allowed_with_copies: bool = True,
    first_layer: FirstLayer = _from_the_first,
    requires: Requires = nothing,
) -> Callable[[MakeParts], MakeParts]:
    """Register a sharing scheme."""

    def register(function: MakeParts) -> MakeParts:
        SCHEMES.entries[name] = Scheme(
            name,
            function,
            paper,
            (),
            cost,
            use,
            lambda tasks: {},
            copies,
            embeddings,
            allowed_with_copies,
            first_layer,
            requires=requires,
        )
        return function

    return register
