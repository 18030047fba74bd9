"""What is called after each step that was taken, in this order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from accord.kernels.matmul import computing
from accord.model.multitask import MultitaskModel
from accord.optim.averaging import Averages
from accord.training.combining import Combination
from accord.training.objective import Objective
from accord.training.step import Observer, Taken


@dataclass(frozen=True)
class LookBack:
    """Shows a balancing rule what the step did to its own examples' losses, masks and all."""

    objective: Objective
    combination: Combination

    @torch.no_grad()
    def __call__(self, taken: Taken) -> None:
        """Pass over the examples again."""
        self.objective.begin(taken.step, taken.batch)
        with computing(self.objective.matmul):
            parts = [mean.double() for mean in self.objective.means(taken.step, taken.batch)]
        after = torch.stack(parts).sum(0).cpu()
        if bool(after.isfinite().all()):  # else nothing is learnt: the next step finds whose it is
            batch = taken.batch
            before, after = batch.by_group(taken.losses), batch.by_group(after)
            self.combination.learn(before, after, batch.sources)


@dataclass(frozen=True)
class FollowTargets:
    """Shows a step's targets to the heads whose scale follows them.

    Attributes:
        model: with these heads.
        averages: of the weights, whose heads are rescaled with them; None where there are none.
    """

    model: MultitaskModel
    averages: Averages | None

    def __call__(self, taken: Taken) -> None:
        """Move the scales."""
        self.model.observe(taken.batch.targets, taken.batch.present, self.averages)


@dataclass(frozen=True)
class FollowWeights:
    """Takes the step's weights into their averages."""

    averages: Averages

    def __call__(self, taken: Taken) -> None:
        """Move the averages."""
        self.averages.update(taken.step + 1)


def observers(
    objective: Objective, combination: Combination, averages: Averages | None
) -> Iterator[Observer]:
    """Yield those that a run needs.

    Args:
        objective: of the run.
        combination: its balancing rule may learn from what a step did.
        averages: of the weights, which are evaluated and kept in their place; None keeps none.
    """
    terms = objective.regularisation
    compared = None if terms is None else terms.averages
    if "losses_after" in combination.balancing.method.needs:
        yield LookBack(objective, combination)
    yield FollowTargets(objective.model, compared)
    for average in (averages, compared):
        if average is not None:
            yield FollowWeights(average)
