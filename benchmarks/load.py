"""Clients of a service: as many as wanted, each with one request at a time, or so many a second.

They share one thread and speak HTTP by hand: what they cost, the service lacks.
"""

from __future__ import annotations

import asyncio
import json
import random
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
        statuses: how many requests had which; 0: no answer.
        bodies: of the last answers, one for each port.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    bodies: list[bytes] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

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
    """A connection that asks again and again."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, wire: bytes) -> tuple[int, bytes]:
        """Return the status and body of an answer; status 0 where there is none."""
        try:
            if self.streams is None:
                self.streams = await asyncio.open_connection("127.0.0.1", self.port)
            reader, writer = self.streams
            writer.write(wire)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            return int(head[9:12]), await reader.readexactly(length)
        except (OSError, EOFError):
            self.close()
            return 0, b""

    def close(self) -> None:
        """End."""
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None


def closed_loop(ports: Ports, texts: Sequence[str], clients: int, seconds: float) -> Load:
    """Let clients ask, each for its next text once the last is answered.

    Args:
        ports: of services that each answer a share: a client asks all at once.
        texts: that are asked for.
        clients: at once.
        seconds: how long.
    """
    wires = [request(text) for text in texts]

    async def client(number: int, load: Load, end: float) -> None:
        rng = random.Random(number)
        connections = [Connection(port) for port in ports]
        while (begun := time.perf_counter()) < end:
            wire = rng.choice(wires)
            answers = await asyncio.gather(*(each.ask(wire) for each in connections))
            _note(load, answers, begun)
        for each in connections:
            each.close()

    async def main() -> Load:
        load = Load()
        begun = time.perf_counter()
        await asyncio.gather(*(client(i, load, begun + seconds) for i in range(clients)))
        load.seconds = time.perf_counter() - begun
        return load

    return asyncio.run(main())


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
    wires = [request(text) for text in texts]

    async def one(connection: Connection, free: list[Connection], load: Load) -> None:
        begun = time.perf_counter()
        answer = await connection.ask(random.choice(wires))
        _note(load, [answer], begun)
        free.append(connection)

    async def main() -> Load:
        load, free, tasks = Load(), [Connection(port) for _ in range(most)], set()
        rng, begun = random.Random(0), time.perf_counter()
        due = begun
        while due < begun + seconds:
            due += rng.expovariate(rate)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            if not free:
                load.statuses[-1] += 1
                continue
            task = asyncio.ensure_future(one(free.pop(), free, load))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)
        load.seconds = time.perf_counter() - begun
        for each in free:
            each.close()
        return load

    return asyncio.run(main())


def _note(load: Load, answers: Sequence[tuple[int, bytes]], begun: float) -> None:
    status = max(status for status, _ in answers) if all(s for s, _ in answers) else 0
    load.statuses[status] += 1
    if status == 200:
        load.latencies.append(time.perf_counter() - begun)
        load.bodies = [body for _, body in answers]
