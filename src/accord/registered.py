"""The names of methods, a file each in their family's folder: read without importing any."""

from __future__ import annotations

import pkgutil
from functools import cache
from pathlib import Path


@cache  # a config is resolved many times over, and asks for all of them
def registered(family: str) -> tuple[str, ...]:
    """Return the names of a family's methods, `_` in a file's name read as `-`.

    Args:
        family: the folder of the package that holds their files.

    Example:
        >>> "pcgrad" in registered("gradients"), "a-gem" in registered("gradients")
        (True, True)
    """
    folder = Path(__file__).parent / family
    methods = folder / "methods"  # of a family that has more to show than its methods
    modules = (
        module.name
        for module in pkgutil.iter_modules([str(methods if methods.is_dir() else folder)])
    )
    return tuple(sorted(name.replace("_", "-") for name in modules if not name.startswith("_")))
