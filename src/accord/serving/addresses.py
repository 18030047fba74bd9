"""Where a service listens."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence

from accord.errors import UsageError

_BACKLOG = 2048  # connections that the system keeps until they are taken


def listen(host: str, port: int) -> list[socket.socket]:
    """Return sockets that listen at all addresses of a host.

    Raises:
        UsageError: if there is no listening at one.
    """
    sockets: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _, _, _, address in dict.fromkeys(found):
            # All have the number that was free for the first.
            place = (address[0], sockets[0].getsockname()[1] if sockets else port, *address[2:])
            sockets.append(_listening(family, place))
    except (OSError, UnicodeError):
        for each in sockets:
            each.close()
        raise UsageError(
            f"can't listen at {host}:{port}: is it in use, or another machine's?"
        ) from None
    return sockets


def _listening(family: int, place: tuple[str | int, ...]) -> socket.socket:
    # asyncio sends at once only where the protocol is named: else each answer is 40 ms late.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":  # where it would let others take the same address
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:  # the other sockets have the addresses of version 4
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(place)
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def listening(sockets: Sequence[socket.socket]) -> str:
    """Say where sockets listen."""
    places = [each.getsockname()[:2] for each in sockets]
    urls = (f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
            for host, port in places)  # fmt: skip
    return f"listening at {' and '.join(urls)}"
