"""Balancing rules, one per file: how much each task's loss counts.

    rule(signals, state, generator, **options) -> (weights [T], state)

A weight scales all of its task's gradients, those of its head too, before a gradient method sees
them. As gradients are linear in it, it is applied to J and to the heads' gradients after the
backward pass: a rule may look at all that the step measured, whatever passes it took.
"""

from __future__ import annotations

from accord.balancing._registry import RULES, Rule

__all__ = ["DEFAULT", "RULES", "Rule", "get_rule", "rule_names"]

DEFAULT = "equal"
"""The rule that weighs nothing."""


def rule_names() -> list[str]:
    """Return the names of all rules, without importing any."""
    return RULES.names()


def get_rule(name: str) -> Rule:
    """Return a rule by its name.

    Raises:
        KeyError: if there is none of that name.
    """
    return RULES.get(name)
