"""What a service is started with; each of its workers is given the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from accord.errors import UsageError
from accord.plan.run import Precision
from accord.serving.requests import Limits

COUNTED_IN = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder in which all processes count, to the library that does it."""


@dataclass(frozen=True)
class Settings:
    """What a service is started with.

    Attributes:
        folders: of its models, by name.
        workers: processes that answer.
        threads: passes at once in each, of one thread each, or threads of a pass of graphs; None:
            as many as processors there are for it, on a GPU one.
        backend: 'accord': run and model folders; 'onnx': folders of exported graphs.
        device: where models run: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        precision: of their products.
        limits: of requests.
        token: that requests have to name; None asks for none.
        reloads: whether a request may have the models loaded anew.
        hosts: names that requests may have for their host, beside this machine's own; None: any.
        logs_texts: whether each request for answers is logged, with its texts.
    """

    folders: Mapping[str, Path]
    workers: int = 1
    threads: int | None = None
    backend: Literal["accord", "onnx"] = "accord"
    device: str = "auto"
    precision: Precision = "float32"
    limits: Limits = field(default_factory=Limits)
    token: str | None = None
    reloads: bool = False
    hosts: frozenset[str] | None = None
    logs_texts: bool = False


def named(given: Sequence[str]) -> dict[str, Path]:
    """Return the folders of models by their names.

    Args:
        given: folders, or NAME=FOLDER; a folder's name is its own, of a run's model/ the run's.

    Raises:
        UsageError: if two have one name.

    Example:
        >>> [*named(["runs/first", "second=runs/other/model"]).items()]
        [('first', PosixPath('runs/first')), ('second', PosixPath('runs/other/model'))]
    """
    folders: dict[str, Path] = {}
    for each in given:
        name, equals, rest = each.partition("=")
        path = Path(rest if equals and not Path(each).exists() else each)
        if not equals or Path(each).exists():
            place = path.absolute()
            name = place.parent.name if place.name == "model" else place.name
        if name in folders:
            raise UsageError(f"two models are named '{name}'; name one otherwise: NAME={path}")
        folders[name] = path
    return folders
