"""Gradient methods by themselves, for whoever has a gradient of each task and a loop of their own.

    weights = accord.gradients.pcgrad(J @ J.T)                   # one per task
    direction = accord.gradients.combine(J, "cagrad", c=0.5)     # along which to move

Methods that learn from step to step, such as GradVac, keep what they learn in a `Combiner`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from accord.errors import UsageError, nearest
from accord.gradients._registry import METHODS, Method
from accord.methods import Signals, State, keyed_generator


class Combiner:
    """A method, and what it learned in the steps so far.

    Draws are a function of the seed and the step's number, as in a run.

    Args:
        method: its name; `_` may stand for `-`.
        tasks: how many, T.
        seed: of its draws.
        memories: which of the tasks are memories, whose losses are not to rise; methods such as
            GEM need to know.
        options: the method's own, as in `[methods.NAME]` of a config.

    Raises:
        UsageError: if there is no such method or option, or a value is not allowed.

    Example:
        >>> J = torch.tensor([[1.0, 0.0], [-1.0, 1.0]])
        >>> combiner = Combiner("gradvac", tasks=2, beta=0.1)
        >>> for step in range(2):
        ...     direction = combiner(J)
        >>> direction.shape
        torch.Size([2])
    """

    def __init__(
        self,
        method: str,
        tasks: int,
        *,
        seed: int = 0,
        memories: Sequence[bool] | None = None,
        **options: Any,
    ) -> None:
        self.method = found(method)
        try:
            self.options = self.method.check_options(options)
        except ValueError as error:
            raise UsageError(*error.args) from None
        flags = [False] * tasks if memories is None else [*map(bool, memories)]
        if len(flags) != tasks:
            raise UsageError(f"memories: {len(flags)} flags for {tasks} tasks")
        if self.method.remembers and not any(flags):
            raise UsageError(
                f"{self.method.name}: no task is a memory; memories=[False, True, ...]"
            )
        self.tasks, self.seed, self.step = tasks, seed, 0
        self.state: State = self.method.initial_state(tasks)
        self._memories = torch.tensor(flags)

    def weights(self, gramian: Tensor) -> Tensor:
        """Return one weight for each task, and go one step on.

        Args:
            gramian: G = J Jᵀ, any float dtype [T, T].

        Returns:
            Float64 [T], on the host.

        Raises:
            UsageError: if the method needs J itself, or G has another shape.
        """
        if self.method.uses_jacobian:
            raise UsageError(f"{self.method.name} needs the gradients themselves: combine(J, ...)")
        if gramian.shape != (self.tasks, self.tasks):
            raise UsageError(
                f"G has shape {[*gramian.shape]}; allowed: {[self.tasks, self.tasks]}, of J Jᵀ"
            )
        G = gramian.detach().to("cpu", torch.float64)
        found: tuple[Tensor, State] = self.method.function(
            Signals.of(G, memories=self._memories, step=self.step), self.state, self._generator(),
            **self.options,
        )  # fmt: skip
        weights, self.state = found
        self.step += 1
        return weights

    def __call__(self, jacobian: Tensor) -> Tensor:
        """Return the direction that the shared parameters move along, and go one step on.

        Args:
            jacobian: J, each task's gradient in a row, any float dtype [T, P].

        Returns:
            Σ_i w_i g_i, on J's device, [P]: float32 where J has fewer bits, else of its dtype.

        Raises:
            UsageError: if J has another number of rows.
        """
        if jacobian.ndim != 2 or len(jacobian) != self.tasks:
            raise UsageError(f"J has shape {[*jacobian.shape]}; allowed: [{self.tasks}, P]")
        if not jacobian.is_floating_point():
            raise UsageError(f"J is of {jacobian.dtype}; allowed: float dtypes")
        J = jacobian.detach()
        J = J if J.dtype == torch.float64 else J.float()
        if self.method.uses_jacobian:
            found: tuple[Tensor, State] = self.method.function(
                J, self.state, self._generator(), **self.options
            )
            direction, self.state = found
            self.step += 1
            return direction
        return self.weights(J @ J.t()).to(J.device, J.dtype) @ J

    def _generator(self) -> torch.Generator:
        return keyed_generator(self.seed, self.step)


def combine(jacobian: Tensor, method: str, **settings: Any) -> Tensor:
    """Combine the tasks' gradients by a method, as in its first step.

    Args:
        jacobian: J, each task's gradient in a row, [T, P].
        method: its name.
        settings: as `Combiner` takes them: `seed`, `memories`, and the method's options.

    Returns:
        The combined gradient [P].

    Example:
        >>> combine(torch.tensor([[1.0, 0.0], [-1.0, 1.0]]), "pcgrad").tolist()
        [0.5, 1.5]
    """
    tasks = len(jacobian) if jacobian.ndim else 0
    return Combiner(method, tasks, **settings)(jacobian)


def weights(gramian: Tensor, method: str, **settings: Any) -> Tensor:
    """Return the weights that a method gives the tasks in its first step.

    Args:
        gramian: G = J Jᵀ, [T, T].
        method: its name.
        settings: as `Combiner` takes them.

    Returns:
        Float64 [T].

    Example:
        >>> weights(torch.tensor([[1.0, -1.0], [-1.0, 4.0]]), "pcgrad").tolist()
        [2.0, 1.25]
    """
    tasks = len(gramian) if gramian.ndim else 0  # what has no rows is refused for its shape
    return Combiner(method, tasks, **settings).weights(gramian)


def found(name: str) -> Method:
    """Return a method by its name, `_` read as `-`.

    Raises:
        UsageError: if there is none, with the name nearest to it.
    """
    spelt = name.replace("_", "-")
    if spelt not in METHODS.names():
        raise UsageError(f"no gradient method '{name}'{nearest(spelt, METHODS.names())}")
    return METHODS.get(spelt)
