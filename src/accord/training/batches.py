"""A run's batches in the order of its steps, packed while the steps before them are computed."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from accord.data.batches import StepBatch
from accord.runs.ahead import Ahead, made_ahead
from accord.training.setup import Setup


class Batches:
    """The batches of an epoch's steps, drawn and packed ahead in a thread; epoch after epoch.

    A batch is a function of its step, so none of this is part of a checkpoint. At an epoch's end
    nothing is made ahead: evaluation, early stopping, and any rule that would look at the run's
    results before it says what the next epoch draws come before the first batch of that epoch.

    A frozen encoder's vectors are on the device already, and are looked up there.

    Args:
        setup: of the run.
        most: batches that are made ahead; default: as many as the device asks for.
    """

    def __init__(self, setup: Setup, most: int | None = None) -> None:
        self._setup = setup
        self._most = made_ahead(setup.device) if most is None else most
        self._ahead: Ahead[StepBatch] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if self._ahead is not None:
            self._ahead.__exit__(kind, error, trace)

    def take(self, step: int) -> StepBatch:
        """Return the batch of a step, counted from 0, on the run's device.

        Args:
            step: the one after the last that was asked for, or the first of those that are left.
        """
        setup = self._setup
        if setup.features is not None:
            return setup.batch(step)
        steps = setup.sampler.steps
        if self._ahead is None or step % steps == 0:
            self.__exit__(None, None, None)
            left = range(step, step - step % steps + steps)
            self._ahead = Ahead(map(setup.drawn, left), self._most).__enter__()
        return next(self._ahead).to(setup.device)
