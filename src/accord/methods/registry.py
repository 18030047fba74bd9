"""The methods of one family, by their files."""

from __future__ import annotations

from importlib import import_module
from typing import Generic, TypeVar

from accord.methods.description import Description
from accord.registered import registered

Entry = TypeVar("Entry", bound=Description)


class Registry(Generic[Entry]):
    """The methods of one family: a file each in its folder, `_` in a file's name read as `-`.

    Args:
        family: the folder's name.
        package: with the files, where these lie in a folder of their own.
    """

    def __init__(self, family: str, package: str | None = None) -> None:
        self.family, self._package = family, package or family
        self.entries: dict[str, Entry] = {}

    def names(self) -> list[str]:
        """Return the names of all methods, without importing any."""
        return list(registered(self.family))

    def get(self, name: str) -> Entry:
        """Import a method.

        Raises:
            KeyError: if there is none of that name.
        """
        if name not in self.names():
            raise KeyError(name)
        import_module(f"accord.{self._package}.{name.replace('-', '_')}")
        return self.entries[name]

    def all(self) -> list[Entry]:
        """Import all methods."""
        return [self.get(name) for name in self.names()]
