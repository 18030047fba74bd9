"""The models that a service answers with: by name, and exchanged as one when a folder changes."""

from __future__ import annotations

import gc
import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accord.errors import RunFolderError, UsageError, nearest
from accord.evaluation.loading import load
from accord.evaluation.predict import Predictor
from accord.evaluation.texts import forms
from accord.kinds import labelled_kind
from accord.model.layers_computed import LayersComputed, layers_of_folder, summed
from accord.model.saved import find_model_folder, read_description, read_origins
from accord.model.saved_ensemble import member_folders
from accord.plan.run import Precision
from accord.publishing.known import run_of
from accord.runs.memory import release_freed_memory

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
    predictor: Predictor
    hash: str
    described: Mapping[str, Any]


class Models:
    """All models of a service.

    Args:
        folders: of each model, by name.
        device: where they run.
        precision: of their products.

    Raises:
        AccordError: if one can't be loaded.
    """

    def __init__(
        self, folders: Mapping[str, Path], device: str = "auto", precision: Precision = "float32"
    ) -> None:
        self._folders, self._device, self._precision = folders, device, precision
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
            if content_hash(path) != served[name].hash
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
        before = content_hash(path)
        predictor = load(path, self._device, self._precision)
        described = _described(path, predictor, before)
        if content_hash(path) != before:
            raise UsageError(f"{path}: changed while it was loaded; load it again")
        return Served(name, predictor, before, {"name": name, **described})


def content_hash(path: Path) -> str:
    """Return the SHA-256 of all files in a model's folder, by name and content.

    Raises:
        ModelError: if it is no model's.
        UsageError: if files vanish meanwhile.
    """
    folder = find_model_folder(path)
    try:
        return _hash_of(folder)
    except OSError as error:  # whoever replaces it is not done
        raise UsageError(f"{path}: changed while it was read: {error}") from None


def _hash_of(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(each for each in folder.rglob("*") if each.is_file()):
        name = file.relative_to(folder).as_posix()
        digest.update(f"{name}\0{file.stat().st_size}\0".encode(errors="surrogateescape"))
        with file.open("rb") as content:
            while block := content.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()


def _described(path: Path, predictor: Predictor, content: str) -> dict[str, Any]:
    folder = find_model_folder(path)
    layers = _layers(folder)
    figures = _figures(path)
    origins = read_origins(folder)
    return {
        "hash": content,
        "format": read_description(member_folders(folder)[0])["format"],
        "members": len(predictor.members),
        "longest_tokens": predictor.assembler.max_length,
        "layers": {
            "all tasks": layers.layers,
            "each input": {each.input: each.layers for each in layers.inputs},
        },
        "tasks": {
            task.name: {
                "kind": task.kind,
                "takes": list(forms(task)),
                "labels": list(task.labels),
                "probabilities": bool(labelled_kind(task).probability_names(task)),
                "metric": task.metric_name,
                **_figure(figures.get(task.name)),
                **({"made": origins[task.name].to_json()} if task.name in origins else {}),
            }
            for task in predictor.tasks
        },
    }


def _figures(path: Path) -> Mapping[str, Any]:
    """Return the held-out figures of the run that a model lies in; none where there is none that
    is done and can be read."""
    try:
        run = run_of(path)
    except RunFolderError:
        return {}
    return {} if run is None else run.results["heldout"]


def _figure(heldout: Mapping[str, Any] | None) -> dict[str, Any]:
    if heldout is None:
        return {}
    return {"value": heldout["value"], "on": heldout["on"], "rows": heldout["rows"]}


def _layers(folder: Path) -> LayersComputed:
    return summed([layers_of_folder(member) for member in member_folders(folder)])
