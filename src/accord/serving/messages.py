"""What a supervisor and its workers say to each other."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import NamedTuple


class Order(Enum):
    """What a supervisor wants of a worker; a worker says EXCHANGE back when it is done."""

    LOAD = auto()
    EXCHANGE = auto()
    FORGET = auto()
    END = auto()


class Ready(NamedTuple):
    """A worker answers requests.

    Attributes:
        hashes: content hashes of its models, by name.
        tasks: of each model.
    """

    hashes: Mapping[str, str]
    tasks: Mapping[str, tuple[str, ...]]


class Failed(NamedTuple):
    """A worker couldn't begin.

    Attributes:
        error: one line.
    """

    error: str


class Asked(NamedTuple):
    """A worker was asked to have the models loaded anew.

    Attributes:
        number: of the request, at that worker.
    """

    number: int


class Loaded(NamedTuple):
    """A worker loaded the models whose folders changed, and answers with the old ones still.

    Attributes:
        hashes: of all models, as they would be.
        error: one line; empty where it could.
    """

    hashes: Mapping[str, str]
    error: str = ""


class Exchanged(NamedTuple):
    """All workers exchanged their models, or none did.

    Attributes:
        numbers: of the requests, at this worker, that this answers.
        names: of the models.
        error: one line; empty where they did.
    """

    numbers: tuple[int, ...]
    names: tuple[str, ...] = ()
    error: str = ""
