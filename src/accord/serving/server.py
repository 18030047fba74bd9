"""Runs a service in one process: its sockets and its signals."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

import torch
import uvicorn

from accord.errors import AccordError
from accord.serving.addresses import listen, listening
from accord.serving.app import Service, make_app
from accord.serving.connections import patient, room
from accord.serving.exchange import Say, exchanged, not_exchanged
from accord.serving.faults import teller

_GRACE = 30  # seconds that a service which ends waits for what it was asked


def serve(service: Service, host: str, port: int, say: Say) -> None:
    """Answer requests until the process is told to end.

    SIGTERM and Ctrl-C let what has begun be answered; SIGHUP loads the models whose folders
    changed.

    Args:
        service: what is served.
        host: the address to listen at.
        port: of it; 0 takes one that is free.
        say: told what happens, a line each.

    Raises:
        UsageError: if there is no listening at that address.
    """
    sockets = listen(host, port)
    server = Server(service, say, ends=(signal.SIGINT, signal.SIGTERM))

    def started() -> None:
        say(listening(sockets))
        if hasattr(signal, "SIGHUP"):  # Windows has none, nor handlers of the loop
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGHUP, _in_thread(lambda: exchange(service, say)))

    server.answer(sockets, started)


def exchange(service: Service, say: Say) -> None:
    """Load the models whose folders changed, and say which."""
    try:
        say(exchanged(service.models.reload()))
    except AccordError as error:
        say(not_exchanged(error))
    except Exception as error:
        say(f"nothing was exchanged: {named_bug(error)}: {error}")


def named_bug(error: Exception) -> str:
    """Name a bug without what it says: that may be somebody's text."""
    return f"a bug in Accord: {type(error).__name__}"


class Server(uvicorn.Server):
    """Answers requests at sockets.

    Args:
        service: what is served.
        say: told of bugs, a line each.
        ends: the signals that end it.
    """

    def __init__(self, service: Service, say: Say, ends: Sequence[signal.Signals]) -> None:
        app = make_app(service, lambda error: say(named_bug(error)))
        super().__init__(uvicorn.Config(
            app, http=patient(service.limits.seconds, room()), ws="none", log_config=None,
            access_log=False, server_header=False, proxy_headers=False,
            timeout_graceful_shutdown=_GRACE,
        ))  # fmt: skip
        self._service, self._say, self._ends = service, say, ends
        self._started: Callable[[], object] = lambda: None

    def answer(self, sockets: list[socket.socket], started: Callable[[], object]) -> None:
        """Answer until it is ended.

        Args:
            sockets: that listen.
            started: called once requests are taken.
        """
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # anyone could fill it
        torch.set_num_threads(1)  # passes run side by side, each in one thread
        warnings.simplefilter("ignore")  # of texts that are cut: one line each would flood a log
        self._started = started
        self.run(sockets)

    def end(self) -> None:
        """Take no new requests, answer those that have begun, and return."""
        self._service.ready = False
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let signals end the service, and not the process: its status is 0."""
        before = {each: signal.signal(each, self.handle_exit) for each in self._ends}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take no new requests."""
        self._service.ready = False
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take requests."""
        asyncio.get_running_loop().set_exception_handler(teller(self._say))
        await super().startup(sockets)
        if not self.should_exit:
            self._started()


def _in_thread(work: Callable[[], None]) -> Callable[[], None]:
    return lambda: threading.Thread(target=work, daemon=True).start()
