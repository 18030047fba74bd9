"""What a regulariser is, what it may ask the model, and how its file registers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from accord.kernels.dropout import DropoutKey
from accord.methods import Description, Need, Registry, Requires, nothing

ByTask = list[Tensor]
"""A tensor for each task that is present, its first axis over that task's examples."""

Options = Mapping[str, Any]


class Ask(Protocol):
    """A pass of the model over the examples at hand."""

    def __call__(self, key: DropoutKey, shift: Tensor | None = None) -> ByTask:
        """Return logits [n, outputs].

        Args:
            key: names the dropout masks.
            shift: added to the first layer's input, [N, H] for N tokens.
        """
        ...


@dataclass(frozen=True)
class Passes:
    """The model's outputs on some examples, and further passes over them.

    Attributes:
        directions: for each present task 2 where a divergence is the sum of a KL and its converse,
            else 1.
        logits: of the plain pass, [n, outputs] for each of them.
        average: of the same pass by averaged weights, without gradients; None where none are kept.
        key: names the plain pass's dropout masks.
        ask: another pass.
        losses: maps logits to each example's loss [n], in the task's own way.
        divergences: maps two passes' logits to how far they are apart, [n]: KL(p‖q) + KL(q‖p) of
            class probabilities; for outputs under MSE their squared difference, as that loss is
            scaled.
        without_gradients: a block in which passes take no gradient of any parameter.
        lengths: tokens of each sequence of the batch.
        width: H, of the first layer's input.
    """

    directions: Sequence[int]
    logits: ByTask
    average: ByTask | None
    key: DropoutKey
    ask: Ask
    losses: Callable[[ByTask], ByTask]
    divergences: Callable[[ByTask, ByTask], ByTask]
    without_gradients: Callable[[], AbstractContextManager[None]]
    lengths: Sequence[int]
    width: int


Regularise = Callable[..., ByTask]
"""(passes, **options) -> the term of each example."""


@dataclass(frozen=True)
class Regulariser(Description):
    """A regulariser.

    Attributes:
        inside: whether it acts inside the encoder, and not on pooled vectors as well.
        by_dropout: whether its term is 0 where nothing drops out.
        work: beside a plain step's passes, as a share of them, by its options.
        average: the decay of the averaged weights that it asks; None where it asks none.
    """

    inside: bool
    by_dropout: bool
    work: Callable[[Options], float]
    average: Callable[[Options], float | None]


REGULARISERS: Registry[Regulariser] = Registry("regularisers")


def regulariser(
    name: str,
    *,
    paper: str,
    use: str,
    cost: str,
    work: Callable[[Options], float],
    needs: tuple[Need, ...] = (),
    inside: bool = False,
    by_dropout: bool = False,
    average: Callable[[Options], float | None] = lambda options: None,
    requires: Requires = nothing,
) -> Callable[[Regularise], Regularise]:
    """Register a regulariser."""

    def register(function: Regularise) -> Regularise:
        REGULARISERS.entries[name] = Regulariser(
            name, function, paper, needs, cost, use, lambda tasks: {},
            inside, by_dropout, work, average, requires=requires,
        )  # fmt: skip
        return function

    return register
