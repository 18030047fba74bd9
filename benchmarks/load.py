"""Clients of a service: as many as wanted, each with one request at a time, or so many a second.

They share one thread and speak HTTP by hand: what they cost, the service lacks.
"""

from __future__ import annotations

import json
import random
import selectors
import socket
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

Ports = Sequence[int]


@dataclass
class Load:
    """What clients saw.

    Attributes:
        seconds: that the window took.
        latencies: of requests answered with 200, in seconds.
        statuses: how many requests had which; 0: no answer, -1: not sent.
        again: requests that were sent a second time, as HTTP clients do: the service had closed
            their connection, which was idle for long, before they came.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    again: int = 0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def note(self, client: Client) -> None:
        """Keep what a client was answered."""
        statuses = [status for status, _ in client.answers]
        status = max(statuses) if all(statuses) else 0
        self.statuses[status] += 1
        if status == 200:
            self.latencies.append(time.perf_counter() - client.begun)

    def quantile(self, share: float) -> float:
        """Latency in ms that a share of requests was below."""
        return float(np.quantile(self.latencies, share)) * 1e3 if self.latencies else float("nan")


def request(text: str, path: str = "/v1/answer") -> bytes:
    """Return a request for one text's answers as it goes over the wire."""
    body = json.dumps({"texts": [text]}).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection:
    """A connection that asks again and again.

    Args:
        port: of a service of this machine.

    Attributes:
        socket: None where there is no connection now.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.socket: socket.socket | None = None
        self._received = b""
        self._expected = 0

    def send(self, wire: bytes) -> bool:
        """Send a request; return whether it could be."""
        try:
            if self.socket is None:
                self.socket = socket.create_connection(("127.0.0.1", self.port))
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._received, self._expected = b"", 0
            self.socket.sendall(wire)
        except OSError:
            self.close()
        return self.socket is not None

    def receive(self) -> tuple[int, bytes] | None:
        """Read what is there; return a whole answer's status and body, 0 where there will be none;
        None where more has to come."""
        assert self.socket is not None
        try:
            part = self.socket.recv(1 << 18)
        except OSError:
            part = b""
        if not part:
            self.close()
            return 0, b""
        self._received += part
        if not self._expected:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return None
            head = self._received[:end].lower()
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            self._expected = end + 4 + length
        if len(self._received) < self._expected:
            return None
        body = self._received[self._received.index(b"\r\n\r\n") + 4 :]
        return int(self._received[9:12]), body

    def close(self) -> None:
        """End."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None


@dataclass
class Client:
    """Asks all services at once for a text, and waits for all.

    Attributes:
        connections: to the services.
        begun: when it asked.
        wire: what it asked.
        reused: whether it did so by a connection that had been used before.
        missing: services that haven't answered.
        answers: statuses and bodies of the others.
    """

    connections: list[Connection]
    begun: float = 0.0
    wire: bytes = b""
    reused: bool = False
    missing: int = 0
    answers: list[tuple[int, bytes]] = field(default_factory=list)

    def ask(self, wire: bytes, selector: selectors.BaseSelector) -> int:
        """Ask; return how many services were asked."""
        self.begun, self.missing, self.answers = time.perf_counter(), 0, []
        self.wire, self.reused = wire, all(each.socket is not None for each in self.connections)
        for each in self.connections:
            fresh = each.socket is None
            if not each.send(wire):
                self.answers.append((0, b""))
                continue
            self.missing += 1
            if fresh:
                selector.register(each.socket, selectors.EVENT_READ, (self, each))  # type: ignore[arg-type]
        return self.missing

    def hear(self, connection: Connection, selector: selectors.BaseSelector) -> bool:
        """Read what one service says; return whether all have answered."""
        heard = connection.socket
        answer = connection.receive()
        if connection.socket is None and heard is not None:
            selector.unregister(heard)
        if answer is None:
            return False
        self.answers.append(answer)
        self.missing -= 1
        return self.missing == 0


def closed_loop(ports: Ports, texts: Sequence[str], clients: int, seconds: float) -> Load:
    """Let clients ask, each for its next text once the last is answered.

    Args:
        ports: of services that each answer a share: a client asks all at once.
        texts: that are asked for.
        clients: at once.
        seconds: how long; each client asks once at least.
    """
    wires, rng, load = [request(text) for text in texts], random.Random(0), Load()
    every = [Client([Connection(port) for port in ports]) for _ in range(clients)]
    with selectors.DefaultSelector() as selector:
        begun = time.perf_counter()
        for each in every:
            each.ask(rng.choice(wires), selector)
        waiting = clients
        while waiting:
            for key, _ in selector.select():
                client, connection = key.data
                if not client.hear(connection, selector):
                    continue
                load.note(client)
                if time.perf_counter() < begun + seconds:
                    client.ask(rng.choice(wires), selector)
                else:
                    waiting -= 1
        load.seconds = time.perf_counter() - begun
    _close(every)
    return load


def one_by_one(port: int, texts: Sequence[str]) -> list[float]:
    """Ask for one text after the other by the same connection; return the seconds of each."""
    connection, took = Connection(port), []
    for wire in map(request, texts):
        begun = time.perf_counter()
        connection.send(wire)
        while (answer := connection.receive()) is None:
            pass
        took.append(time.perf_counter() - begun)
        if answer[0] != 200:
            raise SystemExit(f"not answered: {answer}")
    connection.close()
    return took


def open_loop(
    port: int, texts: Sequence[str], rate: float, seconds: float, most: int = 900
) -> Load:
    """Send so many requests a second, at random times, whether or not they are answered.

    Args:
        port: of the service.
        texts: that are asked for.
        rate: requests a second.
        seconds: how long.
        most: connections; a request for which none is free is not sent, and counts as -1.
    """
    wires, rng, load = [request(text) for text in texts], random.Random(0), Load()
    every = [Client([Connection(port)]) for _ in range(most)]
    free, waiting = [*every], 0
    with selectors.DefaultSelector() as selector:
        due = begun = time.perf_counter()
        while waiting or due < begun + seconds:
            now = time.perf_counter()
            while due <= now and due < begun + seconds:
                due += rng.expovariate(rate)
                if not free:
                    load.statuses[-1] += 1
                    continue
                client = free.pop()
                client.ask(rng.choice(wires), selector)
                if client.missing:
                    waiting += 1
                else:
                    load.note(client)
                    free.append(client)
            patience = max(0.0, due - now) if due < begun + seconds else None
            for key, _ in selector.select(patience):
                client, connection = key.data
                heard = client.hear(connection, selector)
                if heard and client.answers == [(0, b"")] and client.reused:
                    load.again += 1
                    heard = not client.ask(client.wire, selector)
                if heard:
                    load.note(client)
                    free.append(client)
                    waiting -= 1
        load.seconds = time.perf_counter() - begun
    _close(every)
    return load


def _close(clients: Sequence[Client]) -> None:
    for client in clients:
        for each in client.connections:
            each.close()
