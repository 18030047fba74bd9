"""Connections that are slow, or speak no HTTP: one line of JSON answers them, then they close."""

from __future__ import annotations

import asyncio
import json
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

_REASONS = {400: "Bad Request", 408: "Request Timeout"}


class Connection(H11Protocol):
    """One connection, on which requests follow each other.

    Attributes:
        seconds: that a request may take, from its first byte to its last.
    """

    seconds: ClassVar[float] = 10.0
    _deadline: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Read on."""
        between = self.cycle is not None and self.conn.their_state is h11.IDLE
        if between and not self.conn.trailing_data[0]:
            self._forget()  # the next request begins here, not with the last one's answer
        super().data_received(data)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._forget()
        if self._unread is not None:
            self._unread.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        if self._unread is not None:
            self._unread.cancel()
        self._unread = self.loop.call_later(self.seconds, self._abandon, 0)
        self._wait()

    def _abandon(self, left: int) -> None:
        """Close a connection that doesn't take its answer."""
        size = self.transport.get_write_buffer_size()
        if size and size == left:
            self.transport.abort()
        elif size:
            self._unread = self.loop.call_later(self.seconds, self._abandon, size)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self._refuse(400, "this is no HTTP request that can be read")
        self.transport.close()

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
        begun = self.conn.their_state is h11.SEND_BODY or self.conn.trailing_data[0]
        started = (
            self.conn.their_state is not h11.IDLE
            and self.cycle is not None
            and self.cycle.response_started
        )
        if begun and not started and not self.transport.is_closing():
            self._refuse(408, f"the request was not there after {self.seconds:g} s")
        self.transport.close()

    def _refuse(self, status: int, message: str) -> None:
        body = json.dumps({"error": message}).encode() + b"\n"
        head = (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)


def patient(seconds: float) -> type[Connection]:
    """Return connections that wait so long for a request."""
    return type("Connection", (Connection,), {"seconds": seconds})
