"""Commands as processes of their own, forked from one that has imported what they use.

A new Python takes seconds to import it all; a fork takes none. The process that forks has one
thread and has computed nothing: threads don't survive a fork, nor do the locks that they held.
"""

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any


class Command:
    """A command that was started, with the face of `subprocess.Popen`."""

    def __init__(self, status: int, stdout: int, stderr: int) -> None:
        self._status, self.stdout, self.stderr = (os.fdopen(r) for r in (status, stdout, stderr))
        self.pid = int(self._status.readline())
        self.returncode: int | None = None
        self._said: tuple[str, str] | None = None

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("accord", timeout or 0)
            self.returncode = int(self._status.readline())
            self._status.close()
        return self.returncode

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        if self._said is None:
            with ThreadPoolExecutor(2) as readers:
                said = readers.map(_rest_of, (self.stdout, self.stderr))
                try:
                    self.wait(timeout)
                except subprocess.TimeoutExpired:
                    self.kill()
                    raise
                out, err = said
            self._said = out, err
        return self._said

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _rest_of(stream: Any) -> str:
    if stream.closed:
        return ""
    with stream:
        return str(stream.read())


class Forker:
    """The process that forks; it ends with the one that made it."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # its streams are pipes, as a command's will be
                [sys.executable, __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"},
            )  # fmt: skip

    def start(self, arguments: Sequence[object], before: str = "") -> Command:
        """Start a command in this process's folder and environment, after some code."""
        request = {
            "arguments": ["accord", *map(str, arguments)], "before": before,
            "folder": str(Path.cwd()), "environment": {**os.environ, "OMP_NUM_THREADS": "1"},
        }  # fmt: skip
        reading, writing = zip(*(os.pipe() for _ in range(3)), strict=True)
        socket.send_fds(self._socket, [json.dumps(request).encode() + b"\n"], writing)
        for end in writing:
            os.close(end)
        return Command(*reading)

    def close(self) -> None:
        self._socket.close()
        self._process.communicate()


def _requests(channel: socket.socket) -> Iterator[tuple[dict[str, Any], list[int]]]:
    while True:
        text, ends, *_ = socket.recv_fds(channel, 1 << 16, 3)
        while text and not text.endswith(b"\n"):
            text += channel.recv(1 << 16)
        if not text:
            return
        yield json.loads(text), ends


def _fork(channel: socket.socket) -> str:
    """Fork as often as asked, and return in each child the code that it runs; else end."""
    for request, (status, *streams) in _requests(channel):
        if os.fork() == 0:
            channel.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            if (pid := os.fork()) == 0:
                os.close(status)
                return _become(request, streams)
            for end in (1, 2, *streams):
                os.close(end)
            os.write(status, f"{pid}\n".encode())
            ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            os.write(status, f"{ended}\n".encode())
            os._exit(0)
        for end in (status, *streams):
            os.close(end)
    sys.exit()


def _become(request: dict[str, Any], streams: Sequence[int]) -> str:
    """Let this process be what a shell would have started; return the code that runs first."""
    for number, end in enumerate(streams, 1):
        os.dup2(end, number)
        os.close(end)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = request["arguments"]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored below nohup
    return str(request["before"])


if __name__ == "__main__":
    from accord.cli import main

    for name in ("accord.training.run", "scipy.stats"):
        importlib.import_module(name)

    gc.freeze()  # else a fork that ends takes all that was imported apart, for two seconds
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    exec(_fork(socket.socket(fileno=int(sys.argv[1]))))
    main()
