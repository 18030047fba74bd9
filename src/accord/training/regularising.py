"""Regularisers as a run uses them: further passes in a step, and terms in its losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from accord.data.batches import MicroBatch
from accord.encoders.packing import PackedBatch
from accord.kernels.dropout import DropoutKey
from accord.model.multitask import MultitaskModel
from accord.optim.averaging import Averages, trained
from accord.regularisers import Passes, Regulariser, get_regulariser
from accord.regularisers._registry import Ask, ByTask
from accord.training.unfreezing import without_gradients


@dataclass
class Regularisation:
    """The regularisers of a run.

    Attributes:
        model: whose losses they add to.
        chosen: they, and their options.
        averages: of the weights, where one of them asks these; None keeps none.
    """

    model: MultitaskModel
    chosen: list[tuple[Regulariser, dict[str, Any]]]
    averages: Averages | None = None

    @classmethod
    def of(
        cls, model: MultitaskModel, names: Sequence[str], options: Mapping[str, Mapping[str, Any]]
    ) -> Regularisation:
        """Choose regularisers by name; averages begin with the weights as they are."""
        chosen_rules = [get_regulariser(name) for name in names]
        chosen = [
            (regulariser, regulariser.check_options(options.get(regulariser.name, {})))
            for regulariser in chosen_rules
        ]
        decays = [regulariser.average(given) for regulariser, given in chosen]
        wanted = [decay for decay in decays if decay is not None]
        named = trained(model.named_parameters())
        return cls(model, chosen, Averages(named, wanted[0]) if wanted else None)

    @property
    def work(self) -> float:
        """What all passes of a step take, beside a plain step's."""
        return 1 + sum(regulariser.work(given) for regulariser, given in self.chosen)

    def losses(
        self, ask: Ask, micro: MicroBatch, present: tuple[int, ...], key: DropoutKey
    ) -> list[Tensor]:
        """Return each example's loss with all terms, [n] for each present task.

        Args:
            ask: a pass over the examples.
            micro: these.
            present: indices of their tasks.
            key: names the plain pass's dropout masks.
        """
        passes = self.passes(ask, micro, present, key)
        plain = passes.losses(passes.logits)
        terms = [regulariser.function(passes, **options) for regulariser, options in self.chosen]
        return [sum(addends[1:], addends[0]) for addends in zip(plain, *terms, strict=True)]

    def passes(
        self, ask: Ask, micro: MicroBatch, present: tuple[int, ...], key: DropoutKey
    ) -> Passes:
        """Take the plain pass, the one by averaged weights before it, and show both."""
        inputs, average = micro.inputs, self._average(ask, key)
        return Passes(
            directions=self.model.directions(present),
            logits=ask(key),
            average=average,
            key=key,
            ask=ask,
            losses=partial(self.model.label_losses, targets=micro.targets, present=present),
            divergences=partial(self.model.divergences, present=present),
            without_gradients=lambda: without_gradients(self.model.parameters()),
            lengths=inputs.lengths if isinstance(inputs, PackedBatch) else (),
            width=self.model.encoder.config.hidden_size,
        )

    def _average(self, ask: Ask, key: DropoutKey) -> ByTask | None:
        """Pass with averaged weights and the plain pass's masks: equal weights say the same."""
        if self.averages is None:
            return None
        with torch.no_grad(), self.averages.in_place():
            return ask(key)
