"""Answers as JSON on one line."""

from __future__ import annotations

import json

from starlette.responses import Response


def reply(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return JSON on one line."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    content = f"{text}\n".encode(errors="backslashreplace")  # half a character may be echoed
    return Response(content, status, headers, "application/json")


def refused(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """Return an error as JSON on one line."""
    return reply({"error": one_line(message)}, status, headers)


def one_line(what: object) -> str:
    """Return what something says, on one line."""
    return " ".join(str(what).split())
