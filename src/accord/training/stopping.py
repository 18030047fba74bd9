"""Early stopping: whether a run ends before its last epoch, as dev figures gain no more."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from accord.plan.run import StagePlan
from accord.plural import count


@dataclass(frozen=True)
class EarlyStop:
    """Why a run ended before its last epoch.

    Attributes:
        epoch: after which it ended, counted from 1.
        epochs: that it was to have.
        stop_on: 'score', or the task that was looked at.
        gained: the last epoch that brought a gain, or the first.
        value: of that epoch.
        patience: epochs without a gain that end a run.
        min_delta: what a gain has to exceed.
    """

    epoch: int
    epochs: int
    stop_on: str
    gained: int
    value: float
    patience: int
    min_delta: float

    @property
    def line(self) -> str:
        """What is said of it."""
        more = f" by more than {self.min_delta:g}" if self.min_delta else ""
        return (
            f"stopped early after epoch {self.epoch} of {self.epochs}: {self.stop_on} has not risen"
            f"{more} above {self.value:z.4f} of epoch {self.gained} for"
            f" {count(self.patience, 'epoch')}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return what `results.json` says of it."""
        return {**asdict(self), "why": self.line}


def early_stop(plan: StagePlan, evaluations: Sequence[Mapping[str, Any]]) -> EarlyStop | None:
    """Return why a run ends after the epochs that were evaluated; None where it goes on, or is
    over.

    A function of evaluations, which a checkpoint holds: a resumed run decides as it would have.

    Args:
        plan: of the run.
        evaluations: of each epoch so far (`accord.training.checkpoint.RunState`).
    """
    training = plan.training
    if training.patience is None or not 0 < len(evaluations) < training.epochs:
        return None
    values = [_watched(record, training.watched_task, plan.finished) for record in evaluations]
    gained = last_gain(values, training.min_delta)
    if len(values) - 1 - gained < training.patience:
        return None
    return EarlyStop(
        len(values), training.epochs, training.stop_on, gained + 1, values[gained],
        training.patience, training.min_delta,
    )  # fmt: skip


def last_gain(values: Sequence[float], min_delta: float = 0.0) -> int:
    """Return the index of the last value that is more than `min_delta` above the last such before
    it; the first counts as one.

    *Source:* Prechelt 1998, Early stopping – but when?, section 3: the criterion UP, with a
    threshold, as Keras has it.

    Example:
        >>> last_gain([0.5, 0.6, 0.61, 0.55]), last_gain([0.5, 0.6, 0.61, 0.55], min_delta=0.05)
        (2, 1)
    """
    best, last = -math.inf, 0
    for i, value in enumerate(values):
        if value > best + min_delta:
            best, last = value, i
    return last


def _watched(record: Mapping[str, Any], task: str | None, finished: Sequence[str]) -> float:
    """Return what is looked at in an epoch: a task's metric, or the mean of the metrics whose sum
    chooses the best epoch."""
    if task is not None:
        return float(record["metrics"][task])
    return float(record["sum"]) / max(1, len(record["metrics"].keys() - set(finished)))
