"""A client that speaks to a service by plain sockets."""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from accord.serving.app import Service


class Reply(NamedTuple):
    """What a service answered."""

    status: int
    value: Any
    headers: dict[str, str]


def sent(body: bytes, *headers: str) -> bytes:
    """A request for answers as it goes over the wire."""
    lines = ["POST /v1/answer HTTP/1.1", "host: a", "content-type: application/json",
             f"content-length: {len(body)}", *headers]  # fmt: skip
    return "\r\n".join([*lines, "", ""]).encode() + body


class Client:
    """Asks a service; each request by a connection of its own."""

    service: Service
    failures: list[Exception]

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        kind = {} if body is None else {"content-type": "application/json"}
        connection.request(method, path, raw, {**kind, **(headers or {})})
        response = connection.getresponse()
        content = response.read()
        connection.close()
        is_json = response.headers["content-type"] == "application/json"
        value = json.loads(content) if is_json else content.decode()
        if is_json:
            assert content.endswith(b"\n")
            assert content.count(b"\n") == 1  # one line
        return Reply(response.status, value, dict(response.headers.items()))

    def answer(self, texts: Sequence[object], **more: object) -> Reply:
        return self.ask("POST", "/v1/answer", {"texts": texts, **more})

    def raw(self, *parts: bytes, pause: float = 0.0) -> bytes:
        """Send bytes, and return all that comes back until the service closes the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
            received = b""
            while chunk := connection.recv(65536):
                received += chunk
        return received


def until(done: Callable[[], bool]) -> None:
    """Wait for something that other threads do."""
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end
        time.sleep(0.005)


class Process:
    """A service in a process of its own."""

    def __init__(self, *arguments: object) -> None:
        command = [sys.executable, "-c", "from accord.cli import main; main()", "serve"]
        self.process = subprocess.Popen(
            [*command, *map(str, arguments), "--port", "0"], stderr=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        self.client = Client(int(self.line(r"listening at http://127\.0\.0\.1:(\d+)")))

    def line(self, pattern: str) -> str:
        """Read on until a line that matches; return its first group, or the line."""
        for line in self.process.stderr:  # type: ignore[union-attr]
            if found := re.search(pattern, line):
                return found.groups()[0] if found.groups() else line
        self.process.communicate()
        raise AssertionError(f"no line {pattern!r}; exit status {self.process.returncode}")

    def end(self) -> int:
        """Let it end by itself; return its status."""
        self.process.terminate()
        self.process.communicate()
        return self.process.wait(60)
