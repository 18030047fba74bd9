"""Gradient methods, one a file: pure functions from the Gram matrix to the tasks' weights.

    combine(gramian [T, T], state, generator) -> (weights [T], state)

The shared parameters then move along Σ_i w_i g_i. A file of this folder registers its
method under its own name (`_` read as `-`), with its paper and the laws that it keeps;
tests and the config find it from there.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from accord.gradients._registry import Method


def method_names() -> list[str]:
    """Return the names of all methods, without importing any."""
    names = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name.replace("_", "-") for name in names if not name.startswith("_"))


def get_method(name: str) -> Method:
    """Return a method by its name.

    Raises:
        KeyError: if there is none of that name.
    """
    from accord.gradients._registry import METHODS

    if name not in method_names():
        raise KeyError(name)
    import_module(f"{__name__}.{name.replace('-', '_')}")
    return METHODS[name]
