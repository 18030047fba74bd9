"""Requests for answers with their texts, a line each: only where somebody asks for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request

from accord.serving.requests import Asked
from accord.terminal import tell

Log = Callable[[Mapping[str, Any]], object]


def logged(request: Request, status: int, seconds: float) -> dict[str, Any]:
    """Return what is logged of a request; of one that could not be read no texts.

    Args:
        request: for answers.
        status: that it was answered with.
        seconds: from its first line to its answer.
    """
    said: dict[str, Any] = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "path": request.url.path, "status": status, "seconds": round(seconds, 6),
    }  # fmt: skip
    asked: Asked | None = getattr(request.state, "asked", None)
    if asked is not None:
        said |= {"model": asked.model, "tasks": asked.tasks, "texts": asked.texts}
    return said


def to_stderr(said: Mapping[str, Any]) -> None:
    """Write a line of JSON, in ASCII: texts may hold anything, and half a character too."""
    tell(json.dumps(said))
