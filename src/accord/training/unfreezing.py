"""Gradual unfreezing: layers are thawed one by one from the top while a run goes on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from torch.nn import Parameter

from accord.model.multitask import MultitaskModel
from accord.training.rates import by_depth


@dataclass(frozen=True)
class Unfreezing:
    """Which layers are still frozen at which step.

    Step s of a run has min(G, 1 + ⌊s · G/steps⌋) of G groups thawed: the last layer with the
    pooler, each layer below, the embeddings. Heads and tasks' new parts are never frozen.

    *Source:* Howard & Ruder 2018, ULMFiT, section 3.3. There an epoch thaws a layer; here the
    thawing takes a share of the run, however deep the encoder is.

    Attributes:
        groups: parameters, the first thawed first.
        steps: the step by which the last group is thawed; above 0.

    Example:
        >>> [Unfreezing([[], [], []], steps=6).thawed(step) for step in range(8)]
        [1, 1, 2, 2, 3, 3, 3, 3]
    """

    groups: Sequence[Sequence[Parameter]]
    steps: float

    @classmethod
    def of(cls, model: MultitaskModel, steps: float) -> Unfreezing:
        """Take a model's layers, each task's copies with those that they replace."""
        copies, _ = model.named_parts()
        named = [*model.encoder.named_parameters(prefix="encoder"), *copies]
        by_layer = by_depth(named, len(model.encoder.layers))
        return cls([[parameter for _, parameter in layer] for layer in by_layer], steps)

    def thawed(self, step: int) -> int:
        """Return how many groups are trained at a step, counted from 0."""
        return min(len(self.groups), 1 + int(step * len(self.groups) / self.steps))

    def at(self, step: int) -> contextlib.AbstractContextManager[None]:
        """Freeze, within a block, what a step doesn't train yet."""
        return without_gradients(
            parameter for group in self.groups[self.thawed(step) :] for parameter in group
        )


@contextlib.contextmanager
def without_gradients(parameters: Iterable[Parameter]) -> Iterator[None]:
    """Within a block let no gradient be taken of parameters: neither autograd nor J collects it.

    Afterwards they are as before: what asks which parameters are trained sees nothing of it.
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
