"""What a balancing rule is, and how its file registers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from accord.methods import Description, Need, Registry, Requires, Signals, State, Weigh, nothing

Law = Literal[
    "permutation",  # renaming the tasks renames the weights
    "sum_is_tasks",  # the weights are at least 0 and their sum is T
    "loss_scale",  # scaling all losses by c, from the first step on, leaves the weights
    "one_loss_scale",  # scaling one task's loss by c leaves the balanced losses' gradients
    "starts_equal",  # at the first step weights are equal where measurements are equal
    "separable",  # a task's weight depends on its own signals alone
    "constant",  # the weights depend on nothing that is measured
]
Learn = Callable[..., State]
"""(losses before a step [t], the same examples' losses after it [t], state, **options) -> state."""

Waits = Callable[[Mapping[str, Any], int], int]

__all__ = ["RULES", "Law", "Rule", "Signals", "State", "adam", "rule"]


@dataclass(frozen=True)
class Rule(Description):
    """A balancing rule.

    Attributes:
        laws: what tests may demand of it.
        example: losses of a first step, and the weights they get.
        learn: what the rule learns from a step's effect, where it needs `losses_after`.
        waits: (its options, steps of an epoch) -> steps before its weights can differ.
    """

    laws: frozenset[Law]
    example: tuple[list[float], list[float]]
    learn: Learn | None = None
    waits: Waits | None = None


RULES: Registry[Rule] = Registry("balancing")


def rule(
    name: str,
    *,
    paper: str,
    use: str,
    laws: tuple[Law, ...],
    example: tuple[list[float], list[float]],
    needs: tuple[Need, ...] = ("losses",),
    cost: str = "none that shows",
    initial_state: Callable[[int], State] = lambda tasks: {},
    learn: Learn | None = None,
    waits: Waits | None = None,
    requires: Requires = nothing,
) -> Callable[[Weigh], Weigh]:
    """Register a balancing rule."""

    def register(function: Weigh) -> Weigh:
        RULES.entries[name] = Rule(
            name,
            function,
            paper,
            needs,
            cost,
            use,
            initial_state,
            frozenset(laws),
            example,
            learn,
            waits,
            requires=requires,
        )
        return function

    return register


def adam(
    state: State, name: str, gradient: Tensor, lr: float, decay: float = 0.0, **_: Any
) -> State:
    """Return a state in which one of its tensors took a step of Adam, a count for each task.

    Args:
        state: holds `name`, `name.m`, `name.v` and `name.t`, [t] each.
        name: of the tensor.
        gradient: of it, [t].
        lr: the learning rate.
        decay: added to the gradient, times the value (not decoupled).
    """
    gradient = gradient + decay * state[name]
    m = 0.9 * state[f"{name}.m"] + 0.1 * gradient
    v = 0.999 * state[f"{name}.v"] + 0.001 * gradient.square()
    t = state[f"{name}.t"] + 1
    step = lr * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
    return {
        **state, name: state[name] - step,
        f"{name}.m": m, f"{name}.v": v, f"{name}.t": t,
    }  # fmt: skip
