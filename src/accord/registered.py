"""The names of methods, a file each in their family's folder: read without importing any."""

from __future__ import annotations

import pkgutil
from functools import cache
from pathlib import Path


def registered(family: str) -> list[str]:
    """Return the sorted names of a family's methods, `_` in a file's name read as `-`.

    Args:
        family: the folder of the package that holds their files.

    Example:
        >>> "pcgrad" in registered("gradients"), "a-gem" in registered("gradients")
        (True, True)
    """
    return list(_registered(family))


@cache
def _registered(family: str) -> tuple[str, ...]:
    modules = pkgutil.iter_modules([str(Path(__file__).parent / family)])
    names = (module.name for module in modules if not module.name.startswith("_"))
    return tuple(sorted(name.replace("_", "-") for name in names))
