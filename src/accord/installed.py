"""What is installed: Accord's own version, and the packages that only some commands need."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal

from accord.errors import UsageError

DISTRIBUTION = "accord-mtl"
"""What pip knows this package as: another one has its name."""

Extra = Literal["serve", "onnx", "tune", "trackers"]


def version() -> str:
    """Return Accord's version; of a source tree that is not installed "unknown"."""
    from importlib import metadata  # not before it is asked for: `accord --help` answers at once

    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "unknown"


def need(what: str, extra: Extra, *packages: str) -> None:
    """Check that packages are there, without importing them.

    Args:
        what: needs them.
        extra: of Accord, that installs them.
        packages: as they are imported.

    Raises:
        UsageError: naming those that are missing, and how to install them.

    Example:
        >>> need("a picnic", "serve", "accord", "no_such_package")
        Traceback (most recent call last):
        accord.errors.UsageError: a picnic needs no_such_package: pip install "accord-mtl[serve]"
    """
    missing = [name for name in packages if not _is_there(name)]
    if missing:
        raise UsageError(
            f'{what} needs {", ".join(missing)}: pip install "{DISTRIBUTION}[{extra}]"'
        )


def _is_there(package: str) -> bool:
    """Whether a package can be imported; a folder of its name without modules is none."""
    spec = find_spec(package)
    return spec is not None and spec.origin is not None
