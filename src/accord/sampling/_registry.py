"""What a sampling rule is, and how its file registers it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from accord.methods import Description, Need, Registry, Requires, nothing

Order = Literal["together", "drawn", "cyclic"]


@dataclass(frozen=True)
class Budget:
    """What a rule may go by, beside the tasks' rows.

    Attributes:
        batch_size: examples of a task in a step, where all tasks have as many.
        epoch: counted from 0; a rule may change with it.
        epochs: of the run.
        steps: of each epoch, if the run fixes them; None leaves them to the rule.
        one_task: whether a step draws a single task.
    """

    batch_size: int
    epoch: int = 0
    epochs: int = 1
    steps: int | None = None
    one_task: bool = False

    def one_pass(self, sizes: Sequence[int]) -> int:
        """Return the steps of an epoch: as fixed, or as many as draw Σ N_i examples."""
        a_step = self.batch_size * (1 if self.one_task else len(sizes))
        return self.steps or math.ceil(sum(sizes) / a_step)

    def examples(self, sizes: Sequence[int]) -> int:
        """Return how many examples the whole run draws."""
        a_step = self.batch_size * (1 if self.one_task else len(sizes))
        return self.one_pass(sizes) * self.epochs * a_step


@dataclass(frozen=True)
class EpochShape:
    """An epoch: its steps, and what each draws.

    Attributes:
        steps: in the epoch.
        shares: examples of each task in a step; on average, where they are not whole.
        order: 'together': every step draws from all tasks; 'drawn' and 'cyclic': each step draws
            one task alone, in an order drawn once an epoch or in turn, as often as its share says.
        restarts: whether each epoch shuffles anew and each task's last batch may be short; else
            a task's rows are one stream over the whole run, each used once before any comes again.
    """

    steps: int
    shares: tuple[float, ...]
    order: Order = "together"
    restarts: bool = False


Shape = Callable[..., EpochShape]
"""(sizes, budget, **options) -> the shape of an epoch."""


@dataclass(frozen=True)
class Rule(Description):
    """A sampling rule.

    Attributes:
        example: the tasks' rows and the batch size, and the steps and shares these give.
        varies: whether the shape changes from epoch to epoch.
        orders: in which a step's tasks may come; the first is the default.
        balancing: the balancing rule that goes with it, where a config names none.
    """

    example: tuple[tuple[list[int], int], tuple[int, list[float]]]
    varies: bool = False
    orders: tuple[Order, ...] = ("together", "drawn")
    balancing: str = "equal"


RULES: Registry[Rule] = Registry("sampling")


def rule(
    name: str,
    *,
    paper: str,
    use: str,
    example: tuple[tuple[list[int], int], tuple[int, list[float]]],
    needs: tuple[Need, ...] = ("sizes",),
    varies: bool = False,
    orders: tuple[Order, ...] = ("together", "drawn"),
    balancing: str = "equal",
    requires: Requires = nothing,
) -> Callable[[Shape], Shape]:
    """Register a sampling rule."""

    def register(function: Shape) -> Shape:
        RULES.entries[name] = Rule(
            name, function, paper, needs, "none", use, lambda tasks: {}, example, varies, orders,
            balancing, requires=requires,
        )  # fmt: skip
        return function

    return register


def mixture(sizes: Sequence[int], budget: Budget, weights: Sequence[float]) -> EpochShape:
    """Return the epoch of a run that draws task i with probability p_i = w_i / Σ w.

    A step of all tasks draws `batch_size` · T examples, p_i of them task i's; one of a single
    task draws `batch_size`, and is task i's with probability p_i.

    Args:
        sizes: rows of each task.
        budget: of the run.
        weights: one per task, none below 0.
    """
    examples = budget.batch_size * (1 if budget.one_task else len(sizes))
    shares = tuple(examples * weight / math.fsum(weights) for weight in weights)
    return EpochShape(budget.one_pass(sizes), shares, "drawn" if budget.one_task else "together")


def equal_shares(steps: int, sizes: Sequence[int], budget: Budget) -> EpochShape:
    """Return an epoch of `batch_size` examples of each task per step; a fixed length cuts it."""
    shares = (float(budget.batch_size),) * len(sizes)
    return EpochShape(min(steps, budget.steps or steps), shares, restarts=True)
