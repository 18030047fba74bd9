"""Gradient methods, one per file of `methods/`: how the tasks' gradients become one.

    accord.gradients.pcgrad(G)              weights [T] of a Gram matrix G = J Jᵀ [T, T]
    accord.gradients.graddrop(J)            a method that needs J [T, P]: the combined gradient [P]
    accord.gradients.combine(J, "cagrad")   the combined gradient by any method
    accord.gradients.Combiner("gradvac", T) one that learns from step to step

In a file a method is

    method(signals, state, generator, **options) -> (weights [T], state)

The shared parameters then move along Σ_i w_i g_i. All but one need no more of the gradients than
their Gram matrix; the one that needs J maps its columns [T, n] to the combined [n]. A file
registers its method under its own name (`_` read as `-`), with its paper and the laws that it
keeps; tests, config and docs find it from there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from accord.errors import nearest
from accord.gradients._registry import METHODS, Method

if TYPE_CHECKING:
    from torch import Tensor

    from accord.gradients.combiner import Combiner, combine, weights

__all__ = [
    "DEFAULT", "METHODS", "Combiner", "Method", "combine", "get_method", "goes_by_memories",
    "memory_methods", "method_names", "weights",
]  # fmt: skip

DEFAULT = "sum"
"""The method that is no method: the sum of the gradients as they come."""

_ALONE = ("Combiner", "combine", "weights")


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


def _by_itself(name: str) -> Callable[..., Tensor]:
    """Return a method as a function of a Gram matrix, or of J where it needs that."""
    from accord.gradients.combiner import combine, found, weights

    of, what = (combine, "J [T, P]") if found(name).uses_jacobian else (weights, "G = J Jᵀ [T, T]")

    def method(gradients: Tensor, **settings: Any) -> Tensor:
        return of(gradients, name, **settings)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = (
        f"Apply {found(name).name} to {what}; settings as `Combiner` takes them.\n\n"
        + (found(name).function.__doc__ or "")
    )
    return method


def __getattr__(name: str) -> Any:
    if name in _ALONE:
        from accord.gradients import combiner

        return getattr(combiner, name)
    names = [each.replace("-", "_") for each in METHODS.names()]
    if name in names:
        return _by_itself(name)
    raise AttributeError(
        f"module 'accord.gradients' has no attribute '{name}'{nearest(name, [*__all__, *names])}"
    )


def __dir__() -> list[str]:
    return sorted([*__all__, *(name.replace("-", "_") for name in METHODS.names())])
