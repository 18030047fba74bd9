"""Whether what only a service needs is installed."""

from __future__ import annotations

from importlib.util import find_spec

from accord.errors import UsageError

_PACKAGES = ("starlette", "uvicorn", "prometheus_client")


def check_installed() -> None:
    """Check that the extra is there.

    Raises:
        UsageError: if not.
    """
    missing = [
        name for name in ("starlette", "uvicorn", "prometheus_client") if not find_spec(name)
    ]
    if missing:
        raise UsageError(f"a service needs {', '.join(missing)}: pip install 'accord[serve]'")
