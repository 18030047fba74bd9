"""What a step minimises: each task's mean loss over its examples, with all that is added to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from accord.data.batches import MicroBatch, StepBatch
from accord.encoders.packing import PackedBatch
from accord.kernels.dropout import DropoutKey, DropoutStream
from accord.kernels.matmul import DEFAULT, MatmulPolicy, computing
from accord.model.multitask import MultitaskModel
from accord.training.regularising import Regularisation
from accord.training.unfreezing import Unfreezing


@dataclass
class Objective:
    """The losses of a run, and how a pass computes them.

    Attributes:
        model: encoder and heads.
        seed: of the run; keys dropout's masks.
        matmul: in what precision, and how this machine multiplies.
        regularisation: adds terms to each example's loss; None leaves it plain.
        unfreezing: says what is still frozen at a step; None trains everything from the first.
    """

    model: MultitaskModel
    seed: int = 0
    matmul: MatmulPolicy = DEFAULT
    regularisation: Regularisation | None = None
    unfreezing: Unfreezing | None = None

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @contextmanager
    def trained_at(self, step: int) -> Iterator[None]:
        """Within a block, multiply as this run does, and freeze what the step doesn't train yet."""
        frozen = nullcontext() if self.unfreezing is None else self.unfreezing.at(step)
        with frozen, computing(self.matmul):
            yield

    def means(self, step: int, batch: StepBatch) -> Iterator[Tensor]:
        """Yield, pass by pass, its share of each task's mean loss: [h], which add up to the means.

        Args:
            step: keys the dropout masks.
            batch: the step's examples.
        """
        counts = [len(rows) for rows in batch.rows]
        for micro, key in self.keyed(step, batch):
            parts = self.example_losses(micro, batch.present, key)
            yield torch.stack([
                losses.sum() / count for losses, count in zip(parts, counts, strict=True)
            ])  # fmt: skip

    def begin(self, step: int, batch: StepBatch) -> None:
        """Before a step's passes, and each time that they are taken again: start the stream that a
        static step's masks come from. Not within a recording."""
        if batch.is_static:
            DropoutStream(self.seed, step).begin(self.device)

    def keyed(self, step: int, batch: StepBatch) -> Iterator[tuple[MicroBatch, DropoutKey]]:
        """Yield a step's passes, each with the key of its dropout masks."""
        kind = DropoutStream if batch.is_static else DropoutKey
        for place, micro in enumerate(batch.passes):
            yield micro, kind(self.seed, step, place)

    def example_losses(
        self, micro: MicroBatch, present: tuple[int, ...], key: DropoutKey
    ) -> list[Tensor]:
        """Return the loss of each example in a pass, [n] for each view of a present task."""
        if self.regularisation is not None:
            ask = partial(self.logits, micro, present)
            return self.regularisation.losses(ask, micro, present, key)
        pooled, units = self._pooled(micro, present, key), [view.units for view in micro.views]
        return self.model.losses(pooled, micro.targets, present, key, micro.words, units)

    def logits(
        self, micro: MicroBatch, present: tuple[int, ...], key: DropoutKey,
        shift: Tensor | None = None,
    ) -> list[Tensor]:  # fmt: skip
        """Pass over some examples: a list of logits [n, ...], one for each view.

        Args:
            micro: the examples.
            present: the index of each view's task.
            key: names the dropout masks.
            shift: added to the first layer's input, [N, H]; None is nothing.
        """
        pooled, units = self._pooled(micro, present, key, shift), [v.units for v in micro.views]
        return self.model.logits(pooled, present, key, units)

    def _pooled(
        self, micro: MicroBatch, present: tuple[int, ...], key: DropoutKey,
        shift: Tensor | None = None,
    ) -> Sequence[Tensor]:  # fmt: skip
        """Encode a pass, unless its vectors are those of a frozen encoder."""
        inputs = micro.inputs
        if not isinstance(inputs, PackedBatch):
            return inputs
        with self.matmul.autocast(self.device):
            return self.model.pooled(inputs, present, key, shift, micro.views)
