"""What every request passes before its path is looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from accord.serving.hosts import is_loopback, name_of
from accord.serving.replies import refused
from accord.serving.requests import Refused

_CLOSE = (b"connection", b"close")


class Gate:
    """Refuses requests that no path should see, and ends a connection after a request that was
    answered before it was there: what is left of it is no request of its own.

    Args:
        app: what follows.
        hosts: names that requests may have for their host, beside this machine's own; None: any.
        refuses: is told the status of each that is refused.
    """

    def __init__(
        self, app: ASGIApp, hosts: frozenset[str] | None, refuses: Callable[[int], object]
    ) -> None:
        self._app, self._hosts, self._refuses = app, hosts, refuses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        body = _Body(headers, receive, send)
        try:
            self._check(scope, headers)
        except Refused as refusal:
            self._refuses(refusal.status)
            response = refused(refusal.status, refusal.message, refusal.headers)
            await response(scope, body.receive, body.send)
            return
        await self._app(scope, body.receive, body.send)

    def _check(self, scope: Scope, headers: Headers) -> None:
        if scope["http_version"] not in ("1.0", "1.1"):
            what = f"HTTP {scope['http_version']} is not spoken here; 1.1 is"
            raise Refused(505, what, {"Connection": "close"})  # what follows is in it too
        if not scope["path"].isprintable():  # a line's end behind a path would match it too
            raise Refused(404, f"no path {scope['path']!a:.80}: it holds characters of no name")
        if "content-length" in headers and "transfer-encoding" in headers:
            what = "content-length and transfer-encoding say each how long the body is"
            raise Refused(400, f"{what}; allowed: one of them")
        expected = headers.get("expect", "100-continue")
        if expected.lower() != "100-continue":
            raise Refused(417, f"expect: '{expected:.40}'; allowed: 100-continue")
        host = headers.get("host")
        if self._hosts is None or host is None:  # which no browser leaves out
            return
        name = name_of(host)
        if not is_loopback(name) and name not in self._hosts:
            what = f"the host is '{name:.80}'; allowed: localhost"
            raise Refused(421, f"{what}, and names that --allow-host gives")


class _Body:
    """Knows whether a request's body was read to its end."""

    def __init__(self, headers: Headers, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        none = "transfer-encoding" not in headers and headers.get("content-length", "0") == "0"
        self._whole = none

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            self._whole = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and not self._whole:
            headers: list[Any] = [*message.get("headers", ()), _CLOSE]
            message = {**message, "headers": headers}
        await self._send(message)
