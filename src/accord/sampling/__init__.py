"""Sampling rules, one per file: how much of each task a step draws, and how long an epoch is.

    rule(sizes, budget, **options) -> EpochShape

Which rows, and in which order, is `accord.data.sampler`'s: a function of (seed, task, step).
"""

from __future__ import annotations

from accord.sampling._registry import RULES, Budget, EpochShape, Rule

__all__ = ["RULES", "Budget", "EpochShape", "Rule", "get_rule", "rule_names"]


def rule_names() -> list[str]:
    """Return the names of all rules, without importing any."""
    return RULES.names()


def get_rule(name: str) -> Rule:
    """Return a rule by its name.

    Raises:
        KeyError: if there is none of that name.
    """
    return RULES.get(name)
