"""What computes a service's answers: the model itself, or graphs that were exported from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from accord.derived.onnx_model import DESCRIPTION as GRAPHS
from accord.errors import ModelError, RunFolderError
from accord.evaluation.answerer import Answerer
from accord.evaluation.loading import load
from accord.evaluation.texts import forms
from accord.kinds import labelled_kind
from accord.model.layers_computed import LayersComputed, layers_of_folder, summed
from accord.model.saved import find_model_folder, read_description, read_origins
from accord.model.saved_ensemble import member_folders
from accord.plan.run import Precision
from accord.publishing.known import run_of


class Backend(Protocol):
    """Loads models of one form."""

    def folder(self, path: Path) -> Path:
        """Return the folder that holds a model's files.

        Raises:
            ModelError: if there is none.
        """

    def load(self, path: Path) -> Answerer:
        """Return what answers.

        Raises:
            AccordError: if it can't be loaded.
        """

    def described(self, path: Path, answerer: Answerer) -> dict[str, Any]:
        """Return what `GET /v1/models` says of a model, beside its name and hash."""


@dataclass(frozen=True)
class TorchBackend:
    """Run and model folders, and ensembles, computed by Accord's own encoders.

    Attributes:
        device: where they run.
        precision: of their products.
    """

    device: str = "auto"
    precision: Precision = "float32"

    def folder(self, path: Path) -> Path:
        """Return the model's."""
        if (path / GRAPHS).exists():
            raise ModelError(f"{path}: holds ONNX graphs: --backend onnx serves them")
        return find_model_folder(path)

    def load(self, path: Path) -> Answerer:
        """Load the model."""
        return load(path, self.device, self.precision)

    def described(self, path: Path, answerer: Answerer) -> dict[str, Any]:
        """Describe the model, with its run's held-out figures where it lies in a run."""
        folder = find_model_folder(path)
        members = member_folders(folder)
        layers = summed([layers_of_folder(member) for member in members])
        figures, origins = _figures(path), read_origins(folder)
        about = {
            "backend": "accord",
            "format": read_description(members[0])["format"],
            "members": len(members),
            "layers": _layers(layers),
        }
        more = {
            task.name: {
                **_figure(figures.get(task.name)),
                **({"made": origins[task.name].to_json()} if task.name in origins else {}),
            }
            for task in answerer.tasks
        }
        return _described(answerer, about, more)


@dataclass(frozen=True)
class GraphBackend:
    """Folders of ONNX graphs, computed by onnxruntime.

    Attributes:
        threads: of a product.
    """

    threads: int = 1

    def folder(self, path: Path) -> Path:
        """Return the folder of graphs."""
        from accord.derived.graphs import read_graphs

        read_graphs(path)
        return path

    def load(self, path: Path) -> Answerer:
        """Load the graphs."""
        from accord.derived.graphs import load_graphs

        return load_graphs(path, self.threads)

    def described(self, path: Path, answerer: Answerer) -> dict[str, Any]:
        """Describe the graphs: no figures, as these are the model's."""
        from accord.derived.graphs import read_graphs

        description = read_graphs(path)
        graphs = description["graphs"].values()
        about = {
            "backend": "onnx",
            "format": description["format"],
            "weights": description["weights"],
            "members": 1,
            "layers": {
                "all tasks": sum(graph["layers_computed"] for graph in graphs),
                "each graph": {
                    name.removesuffix(".onnx"): graph["layers_computed"]
                    for name, graph in description["graphs"].items()
                },
            },
        }
        return _described(answerer, about, {})


def _described(
    answerer: Answerer, about: Mapping[str, Any], more: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return what is said of any model.

    Args:
        answerer: of it.
        about: what its backend says of it.
        more: and of its tasks.
    """
    return {
        **about,
        "longest_tokens": answerer.assembler.max_length,
        "tasks": {
            task.name: {
                "kind": task.kind,
                "takes": list(forms(task)),
                "labels": list(task.labels),
                "probabilities": bool(labelled_kind(task).probability_names(task)),
                "metric": task.metric_name,
                **more.get(task.name, {}),
            }
            for task in answerer.tasks
        },
    }


def _layers(layers: LayersComputed) -> dict[str, Any]:
    return {
        "all tasks": layers.layers,
        "each input": {each.input: each.layers for each in layers.inputs},
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
