"""The families of methods, as the command line and the docs show them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from accord import balancing, gradients, regularisers, sampling, sharing
from accord.methods import Description
from accord.model import popart


@dataclass(frozen=True)
class Family:
    """Methods that do the same job.

    Attributes:
        name: of the family.
        key: of the config, that chooses one.
        job: what they do, in a sentence.
        names: of its methods, none imported.
        get: imports one.
        default: which one a run has that says nothing.
        several: whether the key takes a list.
    """

    name: str
    key: str
    job: str
    names: Callable[[], list[str]]
    get: Callable[[str], Description]
    default: str
    several: bool = False

    def key_of(self, method: Description) -> str:
        """Return the key that chooses a method: the family's, or a memory's for its own."""
        return "memory.method" if getattr(method, "remembers", False) else self.key

    def chosen_by(self, method: Description) -> str:
        """Return the line of a config that chooses a method."""
        value = f'["{method.name}"]' if self.several else f'"{method.name}"'
        return f"{self.key_of(method)} = {value}"

    def all(self) -> list[Description]:
        """Import all of its methods."""
        return [self.get(name) for name in self.names()]


GRADIENTS = Family(
    "gradients", "training.gradients",
    "How the tasks' gradients of the shared parameters become one.",
    gradients.method_names, gradients.get_method, gradients.DEFAULT,
)  # fmt: skip
BALANCING = Family(
    "balancing", "training.balancing",
    "How much each task's loss counts, before gradients are combined.",
    balancing.rule_names, balancing.get_rule,
    "equal; inverse-share with batching = 'proportional'",
)  # fmt: skip
BATCHING = Family(
    "sampling", "training.batching",
    "How much of each task a step draws, and how long an epoch is.",
    sampling.rule_names, sampling.get_rule, "finish-largest",
)  # fmt: skip
SCHEMES = Family(
    "sharing", "sharing.schemes", "What each task has of its own inside the shared encoder.",
    sharing.scheme_names, sharing.get_scheme, "all of the encoder is shared", several=True,
)  # fmt: skip
REGULARISERS = Family(
    "regularisers", "training.regularisers", "What is added to each example's loss.",
    regularisers.regulariser_names, regularisers.get_regulariser, "nothing is added",
    several=True,
)  # fmt: skip
TARGETS = Family(
    "targets", "tasks.NAME.targets", "In what units a regression's head learns.",
    lambda: ["popart"], lambda name: popart.DESCRIPTION,
    "range: values scaled to [0, 1]",
)  # fmt: skip
FAMILIES = (GRADIENTS, BALANCING, BATCHING, SCHEMES, REGULARISERS, TARGETS)


def options_of(method: Description) -> list[dict[str, Any]]:
    """Return each option's name, default and what it takes, as JSON can say it."""
    schema = method.options.model_json_schema()["properties"] if method.options.model_fields else {}
    return [
        {
            "name": name,
            "default": field.default,
            "takes": "; ".join(filter(None, (_takes(schema[name]), field.description))),
        }
        for name, field in method.options.model_fields.items()
    ]


def summary(method: Description) -> str:
    """Return what a method does, from its docstring: all that stands before its arguments."""
    text = inspect.getdoc(method.function) or ""
    return text.split("\nArgs:")[0].strip()


def _takes(schema: dict[str, Any]) -> str:
    """Say in words what a JSON schema allows."""
    if "anyOf" in schema:
        return " or ".join(
            _takes(choice) for choice in schema["anyOf"] if choice.get("type") != "null"
        )
    if schema.get("type") == "array":
        least = ", at least one" * (schema.get("minItems", 0) > 0)
        return f"a list of {_takes(schema.get('items', {}))}{least}"
    if "enum" in schema:
        return ", ".join(f"'{value}'" for value in schema["enum"])
    if schema.get("type") == "object":
        return f"a table, each {_takes(schema.get('additionalProperties', {}))}"
    words = {"number": "a number", "integer": "a whole number", "boolean": "true or false"}
    bounds = [
        f"{sign} {schema[key]:g}"
        for key, sign in (
            ("minimum", "at least"), ("exclusiveMinimum", "above"),
            ("maximum", "at most"), ("exclusiveMaximum", "below"),
        ) if key in schema
    ]  # fmt: skip
    word = words.get(schema.get("type", ""), "a value")
    return f"{word} {' and '.join(bounds)}" if bounds else word
