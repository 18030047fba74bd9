"""The TOML file: its keys, how it is read, and one line for each thing wrong with it.

It loads no torch: whether what a config chooses can work is `accord.plan`'s to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accord.config.sections import Config

__all__ = ["Config"]


def __getattr__(name: str) -> Any:
    """Import `Config` as it is asked for: kinds of task, whose keys it has, import this package."""
    if name == "Config":
        from accord.config.sections import Config

        return Config
    raise AttributeError(f"module 'accord.config' has no attribute '{name}'")
