"""Gradient methods, one per file: how the tasks' gradients become one.

    method(signals, state, generator, **options) -> (weights [T], state)

The shared parameters then move along Σ_i w_i g_i. All but one need no more of the gradients than
their Gram matrix G = J Jᵀ; the one that needs J maps its columns [T, n] to the combined [n]. A
file of this folder registers its method under its own name (`_` read as `-`), with its paper and
the laws that it keeps; tests, config and docs find it from there.
"""

from __future__ import annotations

from accord.gradients._registry import METHODS, Method

__all__ = [
    "DEFAULT", "METHODS", "Method", "get_method", "goes_by_memories", "memory_methods",
    "method_names",
]  # fmt: skip

DEFAULT = "sum"
"""The method that is no method: the sum of the gradients as they come."""


def method_names() -> list[str]:
    """Return the names of all methods, without importing any."""
    return METHODS.names()


def get_method(name: str) -> Method:
    """Return a method by its name.

    Raises:
        KeyError: if there is none of that name.
    """
    return METHODS.get(name)


def goes_by_memories(name: str | None) -> bool:
    """Whether there is a method of that name that keeps memories' losses from rising."""
    return name in METHODS.names() and METHODS.get(str(name)).remembers


def memory_methods() -> list[str]:
    """Return the names of the methods that keep memories' losses from rising."""
    return [method.name for method in METHODS.all() if method.remembers]
