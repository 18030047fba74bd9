"""torch's layers, whose weight gradients are kept apart by task: they go into any `nn.Sequential`.

Outside of a step that collects they are torch's own layers, by names of parameters too.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from torch import Tensor, nn
from torch.nn import Parameter
from torch.utils import checkpoint as recomputing

from accord.kernels.dropout import DropoutKey
from accord.pertask.activated import linear_activated
from accord.pertask.operations import (
    dropout_add_norm,
    embedding,
    layer_norm,
    linear,
    rms_norm,
)


class Linear(nn.Linear):
    """A dense layer.

    Args:
        inputs: k.
        outputs: m.
        bias: whether it adds one.
        std: of its weights at first, biases being 0; None draws both as torch does.
    """

    weight: Parameter
    std: float | None = None

    def __init__(
        self, inputs: int, outputs: int, bias: bool = True, std: float | None = None
    ) -> None:
        self.std = std
        super().__init__(inputs, outputs, bias)

    def reset_parameters(self) -> None:
        """Draw the weights anew."""
        if self.std is None:
            super().reset_parameters()
            return
        if not self.weight.is_meta:  # torch loads its compiler to draw values of one that has none
            nn.init.normal_(self.weight, std=self.std)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name of it
        """[n, ..., k] -> [n, ..., m]."""
        return linear(input, self.weight, self.bias)

    def activated(
        self, x: Tensor, activation: Callable[[Tensor], Tensor], kind: str | None
    ) -> Tensor:
        """Apply the layer, and a function to each element of what it gives, [n, k] -> [n, m].

        As `accord.pertask.activated.linear_activated`, which says what `kind` is.
        """
        return linear_activated(x, self.weight, self.bias, activation, kind)


class LayerNorm(nn.LayerNorm):
    """A layer norm with a weight, and with or without a bias; float32 under autocast too."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name of it
        """`[n, ..., *shape]` -> the same."""
        return layer_norm(input, self.weight, self.bias, self.eps)

    def of_sum(
        self, x: Tensor, residual: Tensor, p: float, key: DropoutKey | None, rounds: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Normalise residual + dropout(x), [n, ..., k], over its last dimension.

        As `accord.pertask.operations.dropout_add_norm`, which says what the second result is.
        """
        return dropout_add_norm(x, residual, self.weight, self.bias, self.eps, p, key, rounds)


class RMSNorm(nn.RMSNorm):
    """A root-mean-square norm with a weight; float32 under autocast too."""

    def forward(self, x: Tensor) -> Tensor:
        """`[n, ..., *shape]` -> the same."""
        return rms_norm(x, self.weight, self.eps)


class Embedding(nn.Embedding):
    """A table that rows are looked up in."""

    weight: Parameter

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name of it
        """int64 [n, ...] -> [n, ..., H]."""
        return embedding(input, self.weight, self.padding_idx)


def checkpoint(function: Callable[..., Tensor], *arguments: Any) -> Tensor:
    """Apply a function, and keep its arguments alone for the backward pass, which applies it again.

    As torch's own, and whose rows are whose, the step and the way of multiplying are those of the
    call when it is applied again, wherever and in whichever thread that is.

    Args:
        function: draws nothing at random but by keys.
        arguments: for it.
    """
    result: Tensor = recomputing.checkpoint(
        copy_context().run, function, *arguments, use_reentrant=False, preserve_rng_state=False
    )
    return result
