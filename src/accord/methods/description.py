"""What a method declares, and what a run gives it to work with."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from torch import Tensor

from accord.errors import nearest
from accord.methods.signals import State

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
class Circumstances:
    """What a run gives a method to work with, as far as its config says.

    Attributes:
        tasks: names of all.
        weighed: the tasks whose losses a balancing rule weights, those that share their rows
            together; memories that only constrain the others are not among them.
        combining: the gradient method, where it does anything with several tasks' gradients; else
            empty.
        averaging: how weights are averaged; "none": not at all.
        targets: in what units each labelled task's head learns, by name.
    """

    tasks: tuple[str, ...]
    weighed: tuple[tuple[str, ...], ...]
    combining: str = ""
    averaging: str = "none"
    targets: Mapping[str, str] = field(default_factory=dict)


Requires = Callable[[Mapping[str, Any], Circumstances], Iterator[str]]
"""(options, circumstances) -> why the method can't work, one line each, beginning with the key."""


def nothing(options: Mapping[str, Any], circumstances: Circumstances) -> Iterator[str]:
    """Require nothing."""
    return iter(())


Weigh = Callable[..., tuple[Tensor, State]]
"""(signals, state, generator, **options) -> (one weight per task [t], state)."""


@dataclass(frozen=True)
class Description:
    """What every method of every family declares.

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
            name: (hints[name], parameter.default)
            for name, parameter in inspect.signature(self.function).parameters.items()
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY
        }
        config = ConfigDict(extra="forbid", strict=True, frozen=True)
        return create_model(f"{self.name} options", __config__=config, **fields)

    def check_options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options with those that are given.

        Raises:
            ValueError: an argument for each that is wrong: the option, the value, what is allowed.
        """
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
