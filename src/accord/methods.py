"""What all families of methods have in common: what a step tells them, their state, their options.

A method is a pure function of what a step measured. Its file registers it with its paper, what it
needs, and a worked example; config, command line, docs and tests find it from there. Its options
are its keyword arguments: their annotations say what the config allows.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from typing import Any, Generic, Literal, TypeVar, get_type_hints

import torch
from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from torch import Tensor

from accord.registered import registered

State = dict[str, Tensor]
"""What a method carries from step to step; every axis of every tensor runs over the tasks."""

Need = Literal[
    "losses",
    "losses_after",
    "gramian",
    "last_layer",
    "jacobian",
    "state",
    "draws",
    "targets",
    "sizes",
    "shares",
    "epoch",
    "budget",
    "memories",
]


@dataclass(frozen=True)
class Signals:
    """What a step measured of the t tasks present in it; float64 on the host.

    Attributes:
        losses: each task's mean loss, [t].
        gramian: G = J Jᵀ of the shared parameters' gradients, [t, t]; empty where the encoder is
            frozen. A balancing rule sees that of the plain losses, a gradient method that of the
            balanced ones.
        last_norms: norms of the gradients of the last shared layer, [t]; empty unless needed.
        shares: examples of each task in a usual step of this epoch, [t].
        others: of all other tasks that the run trains together, present or not, [t].
        regression: whether a task is one, bool [t].
        memories: whether a task is finished and its rows are a memory's, bool [t].
        names: of the tasks.
        steps_per_epoch: of the run.
        step: counted from 0 over the run.
    """

    losses: Tensor
    gramian: Tensor
    last_norms: Tensor
    shares: Tensor
    others: Tensor
    regression: Tensor
    memories: Tensor
    names: tuple[str, ...] = ()
    steps_per_epoch: int = 1
    step: int = 0

    @classmethod
    def of(
        cls,
        gramian: Sequence[Sequence[float]] | Tensor | None = None,
        losses: Sequence[float] | Tensor | None = None,
        **others: Any,
    ) -> Signals:
        """Make signals by hand, for a look at a method: what isn't given is one or empty.

        Example:
            >>> Signals.of([[1.0, -1.0], [-1.0, 4.0]]).losses.tolist()
            [1.0, 1.0]
        """
        G = _float64(() if gramian is None else gramian)
        tasks = len(G) if losses is None else len(losses)
        found = {
            "last_norms": G.diagonal().sqrt() if G.ndim == 2 else _float64(()),
            "shares": torch.ones(tasks, dtype=torch.float64),
            "others": torch.full((tasks,), tasks - 1.0, dtype=torch.float64),
            "regression": torch.zeros(tasks, dtype=torch.bool),
            "memories": torch.zeros(tasks, dtype=torch.bool),
            "names": tuple(f"task{i}" for i in range(tasks)),
        }
        own = torch.ones(tasks, dtype=torch.float64) if losses is None else _float64(losses)
        return cls(own, G if G.ndim == 2 else _float64(()).view(0, 0), **{**found, **others})

    def only(self, kept: Tensor) -> Signals:
        """Return what was measured of some of the tasks.

        Args:
            kept: which ones, bool [t].
        """
        if bool(kept.all()):
            return self
        return replace(
            self,
            losses=self.losses[kept],
            gramian=self.gramian[kept][:, kept] if len(self.gramian) else self.gramian,
            last_norms=self.last_norms[kept] if len(self.last_norms) else self.last_norms,
            shares=self.shares[kept],
            others=self.others[kept],
            regression=self.regression[kept],
            memories=self.memories[kept],
            names=tuple(name for name, own in zip(self.names, kept.tolist(), strict=False) if own),
        )


@dataclass(frozen=True)
class Circumstances:
    """What a run gives a method to work with, as far as its config says.

    Attributes:
        tasks: names of all.
        weighed: of those whose losses a balancing rule weighs: memories that only constrain what
            others do are none.
        combining: the gradient method, where it does anything with several tasks' gradients; else
            empty.
        averaging: how weights are averaged; "none": not at all.
        targets: in what units each labelled task's head learns, by name.
    """

    tasks: tuple[str, ...]
    weighed: tuple[str, ...]
    combining: str = ""
    averaging: str = "none"
    targets: Mapping[str, str] = field(default_factory=dict)


Requires = Callable[[Mapping[str, Any], Circumstances], Iterator[str]]
"""(options, circumstances) -> why the method can't work, a line each, beginning with the key."""


def nothing(options: Mapping[str, Any], circumstances: Circumstances) -> Iterator[str]:
    """Require nothing."""
    return iter(())


Weigh = Callable[..., tuple[Tensor, State]]
"""(signals, state, generator, **options) -> (one weight per task [t], state)."""


@dataclass(frozen=True)
class Description:
    """What every method of every family says of itself.

    Attributes:
        name: as the config spells it.
        function: the method; its docstring is its documentation.
        paper: where it comes from.
        needs: what of a step it looks at.
        cost: beside the step without it, in words.
        use: when to reach for it, in a sentence.
        initial_state: state for T tasks.
        requires: what it needs of a run, beside what all of its family need. An option that is a
            table has a value for each task, which needs no word here.
    """

    name: str
    function: Callable[..., Any]
    paper: str
    needs: tuple[Need, ...]
    cost: str
    use: str
    initial_state: Callable[[int], State]
    requires: Requires = field(default=nothing, kw_only=True)

    @cached_property
    def options(self) -> type[BaseModel]:
        """A model of the method's options: its keyword arguments."""
        hints = get_type_hints(self.function, include_extras=True)
        fields: dict[str, Any] = {
            name: (hints[name], own.default)
            for name, own in inspect.signature(self.function).parameters.items()
            if own.kind is inspect.Parameter.KEYWORD_ONLY
        }
        config = ConfigDict(extra="forbid", strict=True, frozen=True)
        return create_model(f"{self.name} options", __config__=config, **fields)

    def check_options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options with those that are given.

        Raises:
            ValueError: an argument for each that is wrong: the option, the value, what is allowed.
        """
        from accord.errors import nearest

        try:
            return dict(self.options.model_validate(dict(given)))
        except ValidationError as error:
            faults, known = error.errors(), list(self.options.model_fields)
        lines = []
        for fault in faults:
            name = ".".join(map(str, fault["loc"]))
            wanted = fault["msg"].removeprefix("Input ").replace("valid dictionary", "table")
            line = f"methods.{self.name}.{name}: {wanted}, got {fault['input']!r}"
            if fault["type"] == "extra_forbidden":
                has = f"has no option '{name}'{nearest(name, known)}" if known else "has no options"
                line = f"methods.{self.name}: {has}"
            lines.append(line)
        raise ValueError(*lines)


Entry = TypeVar("Entry", bound=Description)


class Registry(Generic[Entry]):
    """The methods of one family: a file each in its folder, `_` in a file's name read as `-`.

    Args:
        family: the folder's name.
    """

    def __init__(self, family: str) -> None:
        self.family = family
        self.entries: dict[str, Entry] = {}

    def names(self) -> list[str]:
        """Return the names of all methods, without importing any."""
        return registered(self.family)

    def get(self, name: str) -> Entry:
        """Import a method.

        Raises:
            KeyError: if there is none of that name.
        """
        if name not in self.names():
            raise KeyError(name)
        import_module(f"accord.{self.family}.{name.replace('-', '_')}")
        return self.entries[name]

    def all(self) -> list[Entry]:
        """Import all methods."""
        return [self.get(name) for name in self.names()]


@dataclass
class Chosen(Generic[Entry]):
    """A method as a run uses it: its options, and its state for each group of parameters.

    Attributes:
        method: of the registry.
        options: as the config gives them.
        states: one a group of parameters that is weighed apart; mostly one.
    """

    method: Entry
    options: dict[str, Any] = field(default_factory=dict)
    states: list[State] = field(default_factory=list)

    @classmethod
    def of(
        cls, method: Entry, tasks: int, options: Mapping[str, Any] | None = None, groups: int = 1
    ) -> Chosen[Entry]:
        """Choose a method, its state as it begins."""
        return cls(
            method, dict(options or {}), [method.initial_state(tasks) for _ in range(groups)]
        )

    def weigh(
        self,
        signals: Sequence[Signals],
        present: tuple[int, ...],
        key: tuple[int, int],
        place: int = 0,
    ) -> tuple[Tensor, list[State]]:
        """Apply the method to the tasks present in a step; the state of the others stays.

        Nothing is changed here: a step that is left out keeps the states as they were.

        Args:
            signals: of the present tasks, for each group.
            present: their indices among all T tasks, ascending.
            key: (seed, step), from which each group's generator is made.
            place: of the first group's draws among a step's.

        Returns:
            The weights [groups, t], and the states after it.
        """
        index = torch.tensor(present)
        weights, states = [], []
        for group, (own, state) in enumerate(zip(signals, self.states, strict=True)):
            generator = keyed_generator(*key, place + group)
            found, part = self.method.function(
                own, restricted(state, index), generator, **self.options
            )
            weights.append(found)
            states.append(replaced(state, index, part))
        return torch.stack(weights), states

    def learn(self, before: Tensor, after: Tensor, present: tuple[int, ...]) -> None:
        """Let the method's `learn` change its state by a step's effect on the present tasks."""
        learn, index = getattr(self.method, "learn", None), torch.tensor(present)
        if learn is not None:
            self.states = [
                replaced(own, index, learn(before, after, restricted(own, index), **self.options))
                for own in self.states
            ]

    def tensors(self) -> State:
        """Return all states as one table."""
        return {f"{i}.{name}": v for i, own in enumerate(self.states) for name, v in own.items()}

    def load(self, tensors: State) -> None:
        """Take over all states from such a table.

        Raises:
            ValueError: if it is another method's.
        """
        own = self.tensors()
        if own.keys() != tensors.keys() or any(own[n].shape != tensors[n].shape for n in own):
            raise ValueError(f"holds no state of '{self.method.name}'")
        self.states = [
            {name: tensors[f"{i}.{name}"] for name in state} for i, state in enumerate(self.states)
        ]


def restricted(state: State, index: Tensor) -> State:
    """Return a state's part for some of the tasks."""
    return {
        name: value[torch.meshgrid(*[index] * value.ndim, indexing="ij")]
        for name, value in state.items()
    }


def replaced(state: State, index: Tensor, part: State) -> State:
    """Return a state with the part for some of the tasks replaced."""
    after = {name: value.clone() for name, value in state.items()}
    for name, value in part.items():
        after[name][torch.meshgrid(*[index] * value.ndim, indexing="ij")] = value
    return after


def keyed_generator(seed: int, step: int, place: int = 0) -> torch.Generator:
    """Return the generator of a step's draws: a function of its arguments, so it has no state."""
    key = seed * 0x9E3779B97F4A7C15 + step + place * 0xD1B54A32D192ED03
    return torch.Generator().manual_seed(key % 2**63)


def _float64(values: Any) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float64)
