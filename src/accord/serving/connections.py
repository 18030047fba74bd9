"""Connections that are slow, too many, or speak no HTTP: they are told so in one line of JSON, and
close."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

_LEAST = 1 << 14  # bytes of an answer that have to be taken in the time of a request
_FILES, _AT_ONCE = 1 << 14, 2200  # open at once; uvicorn's backlog, and a model's files
_REST, _REST_SECONDS = 1 << 23, 2.0  # bytes and time of a refused request's rest


class Connection(H11Protocol):
    """One connection, on which requests follow each other.

    Attributes:
        seconds: that a request may take, from its first byte to its last.
        most: connections that there may be; of more the one goes that has sent nothing whole for
            the longest time.
    """

    seconds: ClassVar[float] = 10.0
    most: ClassVar[int] = 500
    _since: float = 0.0  # when it last began to wait for a request
    _deadline: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request."""
        self._socket = _Transport(transport, self._is_sending, min(self.seconds, _REST_SECONDS))
        super().connection_made(self._socket)  # type: ignore[arg-type]
        self._since = self.loop.time()
        self._wait()
        if len(self.connections) > self.most:
            self._make_room()

    def _make_room(self) -> None:
        """End the connection that has waited longest; this one, where all others are answered."""
        waiting = [
            each
            for each in self.connections
            if isinstance(each, Connection) and each is not self and each._is_waiting()
        ]
        if waiting:
            min(waiting, key=lambda each: each._since).transport.abort()
        else:
            self._refuse(503, f"{self.most:,} connections are open; ask again later")

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self.transport.is_closing():
            self._socket.pass_over(len(data))
            return
        between = self.cycle is not None and self.conn.their_state is h11.IDLE
        if between and not self.conn.trailing_data[0]:
            self._forget()  # the next request begins here, not with the last one's answer
        super().data_received(data)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._forget()
        self._socket.end()
        if self._unread is not None:
            self._unread.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        if self._unread is not None:
            self._unread.cancel()
        size = self.transport.get_write_buffer_size()
        self._unread = self.loop.call_later(self.seconds, self._abandon, size)
        self._since = self.loop.time()
        self._wait()

    def _abandon(self, left: int) -> None:
        """Close a connection that doesn't take its answer, or takes it in crumbs."""
        size = self.transport.get_write_buffer_size()
        if size > max(0, left - _LEAST):
            self.transport.abort()
        elif size:
            self._unread = self.loop.call_later(self.seconds, self._abandon, size)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        error = sys.exc_info()[1]  # uvicorn calls this where h11 raised it
        status = getattr(error, "error_status_hint", 400)
        what = str(error or msg).partition(": bytearray")[0]
        self._refuse(status, f"this is no HTTP request that can be read: {what}")

    def _is_waiting(self) -> bool:
        """Whether a request, or its rest, is awaited."""
        return self._deadline is not None and not self.transport.is_closing()

    def _is_sending(self) -> bool:
        """Whether the other side may not be done with its request."""
        unread = self.conn.their_state in (h11.SEND_BODY, h11.ERROR)
        return unread or bool(self.conn.trailing_data[0])

    def _wait(self) -> None:
        """Give a request that isn't there its time."""
        whole = self.conn.their_state not in (h11.IDLE, h11.SEND_BODY)
        if whole or self.transport.is_closing():
            self._forget()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.seconds, self._end)

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end(self) -> None:
        """Close the connection: its request didn't come in time, or none did."""
        self._deadline = None
        if self._is_sending() and not self.transport.is_closing():
            self._refuse(408, f"the request was not there after {self.seconds:g} s")
        else:
            self.transport.close()

    def _refuse(self, status: int, message: str) -> None:
        """Say why a request is not read to its end, unless it is being answered, and close."""
        asked = self.cycle  # or the one before it, that was answered
        if asked is None or asked.response_complete or not asked.response_started:
            body = json.dumps({"error": " ".join(message.split())}).encode() + b"\n"
            head = (
                f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
                "content-type: application/json\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
        if asked is not None and not asked.response_complete:
            asked.disconnected = True
            asked.message_event.set()  # whoever reads its body reads no more
        self.transport.close()


class _Transport:
    """A transport whose `close` lets a request's rest arrive, and passes over it.

    A socket that is closed with bytes unread resets its connection: the answer, that says what is
    wrong, would be lost on its way.

    Args:
        transport: asyncio's.
        is_sending: whether there may be such a rest.
        seconds: that it may take.
    """

    def __init__(self, transport: Any, is_sending: Callable[[], bool], seconds: float) -> None:
        self._transport, self._is_sending, self._seconds = transport, is_sending, seconds
        self._timer: asyncio.TimerHandle | None = None
        self._left = _REST

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Whether nothing more is read or written."""
        return self._timer is not None or self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Send, unless it closes."""
        if not self.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Send what was written, and close."""
        if self.is_closing():
            return
        if not self._is_sending():
            self._transport.close()
            return
        self._transport.write_eof()
        self._transport.resume_reading()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._seconds, self._transport.abort)

    def pass_over(self, size: int) -> None:
        """Take note of bytes that come while it closes."""
        self._left -= size
        if self._left < 0:
            self._transport.abort()

    def end(self) -> None:
        """Wait no more."""
        if self._timer is not None:
            self._timer.cancel()


def patient(seconds: float, most: int = Connection.most) -> type[Connection]:
    """Return connections that wait so long for a request, and of which there may be so many."""
    return type("Connection", (Connection,), {"seconds": seconds, "most": most})


def room() -> int:
    """Return how many connections this process has room for, beside those that come all at once
    before one of them is looked at; raises its limit of open files as far as it may."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return 10_000
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    return max(files - _AT_ONCE, files // 2)
