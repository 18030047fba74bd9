"""What a gradient method is, and how its file registers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from accord.methods import Description, Need, Registry, Requires, Signals, State, Weigh, nothing

Law = Literal[
    "equal_without_conflict",  # all cosines >= 0: the weights are all alike
    "permutation",  # renaming the tasks renames the weights (up to visiting order)
    "alone",  # one task alone is trained as without a method: its weight is 1
    "scale",  # scaling all gradients by c leaves the weights as they are
    "scale_direction",  # scaling all gradients by c leaves the direction of the result
    "scale_of_one",  # scaling one task's gradient leaves the direction of the result
    "no_conflict_of_two",  # with T = 2 the result opposes neither task
    "no_conflict",  # the result opposes no task
    "worst_not_worse",  # the task that the result serves least gains no less than from the mean
    "convex_hull",  # the weights are at least 0 and their sum is 1
    "sum_without_conflict",  # where the sum of all but memories opposes no memory, it is the result
    "memory_kept",  # the result does not oppose the one memory
    "memories_kept",  # the result opposes no memory
    "equal_projections",  # of independent gradients all have the same cosine with the result
]
Granularity = Literal["all", "layer"]
Magnitude = Literal["sum", "mean", "other"]

__all__ = ["METHODS", "Granularity", "Law", "Magnitude", "Method", "Signals", "State", "method"]


@dataclass(frozen=True)
class Method(Description):
    """A gradient method.

    Attributes:
        laws: what tests may demand of it.
        magnitude: of the result where all T tasks' gradients are one g: T g like the sum's, g like
            the mean's, or what the method's description says. Clipping and the heads, which no
            method touches, make it matter under AdamW too.
        example: a Gram matrix and the weights it gives, worked by hand; columns of J and what they
            combine to, where a method needs J; where it needs memories, the last row is one.
        granularities: over which parameters it may be asked for one set of weights.
    """

    laws: frozenset[Law]
    magnitude: Magnitude
    example: tuple[list[list[float]], list[float]]
    granularities: tuple[Granularity, ...] = ("all", "layer")

    @property
    def combines(self) -> bool:
        """Whether it does anything with one task, or with all layers' gradients weighed alike."""
        return "layer" in self.granularities or self.uses_jacobian

    @property
    def remembers(self) -> bool:
        """Whether it keeps the losses of memories' rows from rising."""
        return "memories" in self.needs

    @property
    def uses_jacobian(self) -> bool:
        """Whether it maps J's columns [t, n] to the combined gradient [n], and gives no weights."""
        return "jacobian" in self.needs


METHODS: Registry[Method] = Registry("gradients", "gradients.methods")


def method(
    name: str,
    *,
    paper: str,
    use: str,
    laws: tuple[Law, ...],
    magnitude: Magnitude,
    example: tuple[list[list[float]], list[float]],
    needs: tuple[Need, ...] = ("gramian",),
    cost: str = "none that shows: it solves for one weight per task",
    initial_state: Callable[[int], State] = lambda tasks: {},
    granularities: tuple[Granularity, ...] = ("all", "layer"),
    requires: Requires = nothing,
) -> Callable[[Weigh], Weigh]:
    """Register a gradient method."""

    def register(function: Weigh) -> Weigh:
        METHODS.entries[name] = Method(
            name, function, paper, needs, cost, use, initial_state, frozenset(laws),
            magnitude, example, granularities, requires=requires,
        )  # fmt: skip
        return function

    return register
