"""The names of methods, a file each in their family's folder: read without importing any."""

from __future__ import annotations

import pkgutil
from pathlib import Path


def registered(family: str) -> list[str]:
    """Return the names of a family's methods, `_` in a file's name read as `-`.

    Args:
        family: the folder of the package that holds their files.

    Example:
        >>> "pcgrad" in registered("gradients"), "a-gem" in registered("gradients")
        (True, True)
    """
    modules = (
        module.name for module in pkgutil.iter_modules([str(Path(__file__).parent / family)])
    )
    return sorted(name.replace("_", "-") for name in modules if not name.startswith("_"))
