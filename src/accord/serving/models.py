"""The models that a service answers with: by name, and exchanged as one when a folder changes."""

from __future__ import annotations

import gc
import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accord.errors import UsageError, nearest
from accord.evaluation.answerer import Answerer
from accord.runs.memory import release_freed_memory
from accord.serving.backends import Backend, TorchBackend

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Served:
    """A model that answers.

    Attributes:
        name: by which requests ask for it.
        predictor: loaded.
        hash: SHA-256 of the files in its folder, hexadecimal.
        described: what `GET /v1/models` says of it.
    """

    name: str
    predictor: Answerer
    hash: str
    described: Mapping[str, Any]


class Models:
    """All models of a service.

    Args:
        folders: of each model, by name.
        backend: loads them.

    Raises:
        AccordError: if one can't be loaded.
    """

    def __init__(self, folders: Mapping[str, Path], backend: Backend | None = None) -> None:
        self._folders, self._backend = folders, backend or TorchBackend()
        self._served = {name: self._load(name, path) for name, path in folders.items()}
        self._loading = threading.Lock()

    def get(self, name: str | None) -> Served:
        """Return a model by its name; without one the only one that there is.

        Raises:
            UsageError: if there is none of that name, or a name is needed.
        """
        served = self._served
        if name is None:
            if len(served) > 1:
                raise UsageError(f"'model' is missing; allowed: {', '.join(served)}")
            return next(iter(served.values()))
        if name not in served:
            raise UsageError(f"no model '{name}'{nearest(name, [*served])}")
        return served[name]

    def all(self) -> list[Served]:
        """Return every model, in the order given."""
        return list(self._served.values())

    def changed(self) -> dict[str, Served]:
        """Load the models whose folders changed; until they are exchanged all stay as they were.

        Raises:
            AccordError: if one can't be loaded.
        """
        served = self._served
        return {
            name: self._load(name, path)
            for name, path in self._folders.items()
            if self._hash(path) != served[name].hash
        }

    def exchange(self, new: Mapping[str, Served]) -> None:
        """Answer with new models from now on. What is being answered goes on with those that it
        began with."""
        self._served = {**self._served, **new}
        gc.collect()  # a predictor's caches name it: its weights would stay for long
        release_freed_memory()

    def reload(self) -> list[str]:
        """Load the models whose folders changed, and exchange them.

        Returns:
            Their names.

        Raises:
            AccordError: if one can't be loaded: all stay as they were.
        """
        with self._loading:
            new = self.changed()
            self.exchange(new)
        return list(new)

    def hashes(self) -> dict[str, str]:
        """Return each model's content hash."""
        return {name: served.hash for name, served in self._served.items()}

    def _load(self, name: str, path: Path) -> Served:
        before = self._hash(path)
        predictor = self._backend.load(path)
        described = self._backend.described(path, predictor)
        if self._hash(path) != before:
            raise UsageError(f"{path}: changed while it was loaded; load it again")
        return Served(name, predictor, before, {"name": name, "hash": before, **described})

    def _hash(self, path: Path) -> str:
        return content_hash(self._backend.folder(path))


def content_hash(folder: Path) -> str:
    """Return the SHA-256 of all files in a folder, by name and content.

    Raises:
        UsageError: if files vanish meanwhile.
    """
    try:
        return _hash_of(folder)
    except OSError as error:  # whoever replaces it is not done
        raise UsageError(f"{folder}: changed while it was read: {error}") from None


def _hash_of(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(each for each in folder.rglob("*") if each.is_file()):
        name = file.relative_to(folder).as_posix()
        digest.update(f"{name}\0{file.stat().st_size}\0".encode(errors="surrogateescape"))
        with file.open("rb") as content:
            while block := content.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()
