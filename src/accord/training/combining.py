"""How the tasks' gradients become one: a balancing rule's weights, then a gradient method's."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from accord.balancing import Rule, get_rule
from accord.gradients import Method
from accord.kinds import kind_of
from accord.methods import Chosen, Signals, State, keyed_generator
from accord.pertask.step import Step
from accord.pertask.written import Written
from accord.tasks import Task

_CANCELLED = 1e-2  # of the terms' lengths: the square, 1e-4 of theirs, still has three digits
_BALANCING = 1 << 20  # place of a balancing rule's draws: beyond any group's


@dataclass(frozen=True)
class Combined:
    """The one gradient of all shared parameters that a step takes.

    Attributes:
        norm: of it.
        write: puts it where the optimizer finds it, multiplied by a factor of at most 1.
        weights: of J's rows, [t] or [groups, t], where it is their weighted sum and not yet
            written; else None.
    """

    norm: float
    write: Callable[[float], None]
    weights: Tensor | None = None


@dataclass(frozen=True)
class Decision:
    """What a step's measurements lead to; nothing has been changed yet.

    Attributes:
        balance: each present task's loss weight, [t].
        weights: the gradient method's, [groups, t]; None where it gives none.
        shared: what each task's shared gradient is multiplied by, [groups, t].
        states: of the rule and of the method, after the step.
        whole: maps J's columns [t, n] to [n], where the method needs J itself; else None.
    """

    balance: Tensor
    weights: Tensor | None
    shared: Tensor
    states: tuple[list[State], list[State]]
    combine_columns: Callable[[Tensor], Tensor] | None = None

    def combine(self, shared: Step, gramians: Tensor) -> Combined:
        """Make one gradient of the shared ones.

        Where its norm follows from G, it is written once the factor that clips it is known; else it
        is written to be measured, and clipped in a pass of its own.

        Args:
            shared: the step's gradients; only one combination of them can be made.
            gramians: theirs, of each group of parameters, on the host.
        """
        if self.combine_columns is None and not self.cancels(gramians):
            weights = self.shared
            return Combined(
                self.norm(gramians), lambda factor: _write(shared, weights * factor), weights
            )
        written = (
            shared.write(self.shared)
            if self.combine_columns is None
            else shared.write_by(self.combine_columns)
        )
        return Combined(written.norm(), lambda factor: _scale(written, factor))

    def norm(self, gramians: Tensor) -> float:
        """Return the combined shared gradient's norm: ‖Jᵀw‖² is wᵀGw, so no pass over it."""
        weights = self.shared.expand(len(gramians), -1)
        square = float(torch.einsum("gt,gts,gs->", weights, gramians, weights))
        return math.sqrt(max(0.0, square)) if math.isfinite(square) else square

    def cancels(self, gramians: Tensor) -> bool:
        """Whether the terms of Σ wᵢ gᵢ cancel so far that G's rounding decides what is left."""
        weights = self.shared.expand(len(gramians), -1).abs()
        terms = (weights * gramians.diagonal(dim1=1, dim2=2).clamp(min=0).sqrt()).sum(1)
        return self.norm(gramians) < _CANCELLED * float(terms.norm())


@dataclass
class Combination:
    """A balancing rule and a gradient method, with what they know of the run.

    Attributes:
        balancing: weighs the losses.
        method: combines the balanced gradients.
        names: of all sources: of the one task of each, mostly.
        regression: whether each is one.
        memories: whether each is finished, and its rows are a memory's.
        shares: examples of each in a usual step of the epoch that a step is in.
        steps_per_epoch: of the run.
        per_layer: whether the method weighs each group of parameters apart.
        summed: collect one gradient for all tasks, their sum: no Gram matrix, nothing is asked.
        last_shared: index of the group that is the last layer which tasks share.
    """

    balancing: Chosen[Rule]
    method: Chosen[Method]
    names: tuple[str, ...]
    regression: tuple[bool, ...]
    memories: tuple[bool, ...]
    shares: Callable[[int], Sequence[float]]
    steps_per_epoch: int = 1
    per_layer: bool = False
    summed: bool = False
    last_shared: int = -1

    @classmethod
    def of(
        cls,
        tasks: Sequence[Task | Sequence[Task]],
        method: Method,
        balancing: Rule | None = None,
        *,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        shares: Callable[[int], Sequence[float]] | None = None,
        steps_per_epoch: int = 1,
        layers: int | None = None,
        finished: Collection[str] = (),
    ) -> Combination:
        """Choose how the gradients of some tasks become one.

        Args:
            tasks: those of each source, in the order in which batches hold them.
            method: combines gradients.
            balancing: weighs losses; default: all alike.
            options: of methods, by name.
            shares: examples of each task in a usual step of a step's epoch; default: alike.
            steps_per_epoch: of the run.
            layers: how many groups of parameters the method weighs apart; None weighs all at once.
            finished: names of the tasks whose rows are a memory's.

        Raises:
            ValueError: an option that a method hasn't got, or a value that it doesn't take.
        """
        rule = balancing or get_rule("equal")
        given = {each.name: each.check_options((options or {}).get(each.name, {}))
                 for each in (rule, method)}  # fmt: skip
        sources = [[each] if isinstance(each, Task) else list(each) for each in tasks]
        return cls(
            balancing=Chosen.of(rule, len(sources), given[rule.name]),
            method=Chosen.of(method, len(sources), given[method.name], layers or 1),
            names=tuple("+".join(task.name for task in source) for source in sources),
            regression=tuple(all(kind_of(task).squared for task in source) for source in sources),
            memories=tuple(source[0].name in finished for source in sources),
            shares=shares or (lambda step: (1.0,) * len(sources)),
            steps_per_epoch=steps_per_epoch,
            per_layer=layers is not None,
        )

    @property
    def by_layer(self) -> bool:
        """Whether J is to keep its layers apart: for the method, or for the last one's norms."""
        return self.per_layer or "last_layer" in self.balancing.method.needs

    def decide(
        self, losses: Tensor, gramians: Tensor, present: tuple[int, ...], key: tuple[int, int]
    ) -> Decision:
        """Ask the rule, and then the method about the gradients of the balanced losses.

        A task of weight 0 isn't there for the method: its gradient of 0 would stop MGDA, which
        follows no gradient that another one opposes, and count as a task in means. A memory that
        only constrains the others isn't there for the rule: it weighs tasks that learn.

        Args:
            losses: each present task's mean loss, [t].
            gramians: of each group of shared parameters, [groups, t, t]; none where the encoder
                is frozen.
            present: indices of the present tasks.
            key: (seed, step).
        """
        if self.summed:
            return self._nothing_changed(losses)
        signals, weighed = self._signals(losses, gramians, present, key[1]), self._weighed(present)
        balances, rule_states = self.balancing.weigh(
            [signals.only(weighed)], _where(weighed, present), key, _BALANCING
        )
        balance = torch.ones_like(losses)
        balance[weighed] = balances[0]
        states = (rule_states, self.method.states)
        if not len(gramians):
            return Decision(balance, None, balance[None], states)
        if self.method.method.uses_jacobian:
            return Decision(
                balance, None, balance[None], states, self._column_combiner(balance, key)
            )
        scaled = gramians * torch.outer(balance, balance)
        parts = scaled if self.per_layer else scaled.sum(0, keepdim=True)
        counted = balance != 0
        if not counted.any():
            counted = ~counted
        balanced = [
            replace(signals, gramian=part, losses=losses * balance).only(counted) for part in parts
        ]
        method_weights, method_states = self.method.weigh(balanced, _where(counted, present), key)
        weights = method_weights.new_zeros(len(method_weights), len(balance))
        weights[:, counted] = method_weights
        return Decision(balance, weights, weights * balance, (rule_states, method_states))

    def learn(self, before: Tensor, after: Tensor, present: tuple[int, ...]) -> None:
        """Let the balancing rule learn from the present tasks' losses before and after a step."""
        weighed = self._weighed(present)
        self.balancing.learn(before[weighed], after[weighed], _where(weighed, present))

    def _weighed(self, present: tuple[int, ...]) -> Tensor:
        """Return which present tasks the balancing rule weighs: all but memories that constrain."""
        constrains = self.method.method.remembers
        return torch.tensor([not (constrains and self.memories[i]) for i in present])

    def keep(self, decision: Decision) -> None:
        """Take over the states after a step that was not left out."""
        self.balancing.states, self.method.states = decision.states

    def _nothing_changed(self, losses: Tensor) -> Decision:
        """Return what leaves J as it is: it has a single row, the sum."""
        ones = torch.ones_like(losses)
        states = (self.balancing.states, self.method.states)
        return Decision(ones, ones[:1, None], ones[:1, None], states)

    def _column_combiner(self, balance: Tensor, key: tuple[int, int]) -> Callable[[Tensor], Tensor]:
        """Return a method that needs J, as a function of some of its columns [t, n]: to [n]."""
        method, generator = self.method, keyed_generator(*key)

        def combine(columns: Tensor) -> Tensor:
            scaled = columns * balance.to(columns)[:, None]
            combined: Tensor
            combined, _ = method.method.function(scaled, {}, generator, **method.options)
            return combined

        return combine

    def tensors(self) -> State:
        """Return all state as one table."""
        return {
            **{f"balancing.{name}": value for name, value in self.balancing.tensors().items()},
            **{f"gradients.{name}": value for name, value in self.method.tensors().items()},
        }

    def load(self, tensors: State) -> None:
        """Take over all state from such a table.

        Raises:
            ValueError: if it is of another rule or method.
        """
        for prefix, chosen in (("balancing.", self.balancing), ("gradients.", self.method)):
            chosen.load({
                name.removeprefix(prefix): value
                for name, value in tensors.items() if name.startswith(prefix)
            })  # fmt: skip

    def _signals(
        self, losses: Tensor, gramians: Tensor, present: tuple[int, ...], step: int
    ) -> Signals:
        every = torch.tensor(tuple(self.shares(step)), dtype=torch.float64)
        shares, remembered = every[list(present)], torch.tensor(self.memories)
        trained = every.masked_fill(remembered, 0)  # a memory's batch weighs no current task
        task_shares = trained[list(present)]
        last = losses[:0]
        if self.by_layer and len(gramians):
            last = gramians[self.last_shared].diagonal().clamp(min=0).sqrt()
        return Signals(
            losses=losses,
            gramian=gramians.sum(0) if len(gramians) else losses.new_zeros(0, 0),
            last_norms=last,
            shares=shares,
            others=trained.sum() - task_shares,
            regression=torch.tensor([self.regression[i] for i in present]),
            memories=torch.tensor([self.memories[i] for i in present]),
            names=tuple(self.names[i] for i in present),
            steps_per_epoch=self.steps_per_epoch,
            step=step,
        )


def _write(shared: Step, weights: Tensor) -> None:
    shared.write(weights)


def _scale(written: Written, factor: float) -> None:
    if factor < 1:
        written.scale(factor)


def _where(kept: Tensor, present: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(i for i, is_kept in zip(present, kept.tolist(), strict=True) if is_kept)
