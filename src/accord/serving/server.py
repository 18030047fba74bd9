"""Runs a service: its socket and its signals."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import torch
import uvicorn

from accord.errors import AccordError, UsageError
from accord.serving.app import Service, make_app
from accord.serving.connections import patient, room
from accord.serving.faults import teller

Say = Callable[[str], object]
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
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # anyone could fill it
    torch.set_num_threads(1)  # passes run side by side, each in one thread
    warnings.simplefilter("ignore")  # of texts that are cut: one line each would flood a log
    app = make_app(service, lambda error: say(_bug(error)))
    config = uvicorn.Config(
        app, host=host, port=port, http=patient(service.limits.seconds, room()), ws="none",
        log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=_GRACE,
    )  # fmt: skip
    server = _Server(config, service, say)
    try:
        server.run()
    except SystemExit:  # uvicorn's way to say that it can't listen
        raise UsageError(
            f"can't listen at {host}:{port}: is it in use, or another machine's?"
        ) from None


class _Server(uvicorn.Server):
    """Tells where it listens, and reloads on SIGHUP."""

    def __init__(self, config: uvicorn.Config, service: Service, say: Say) -> None:
        super().__init__(config)
        self._service, self._say = service, say

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let signals end the service, and not the process: its status is 0."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        ends = signal.SIGINT, signal.SIGTERM
        before = {each: signal.signal(each, self.handle_exit) for each in ends}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take no new requests."""
        self._service.ready = False
        super().handle_exit(sig, frame)

    async def startup(self, sockets: Any = None) -> None:
        asyncio.get_running_loop().set_exception_handler(teller(self._say))
        await super().startup(sockets)
        if self.should_exit:
            return
        for server in self.servers:
            for socket in server.sockets:
                host, port = socket.getsockname()[:2]
                name = f"[{host}]" if ":" in host else host
                self._say(f"listening at http://{name}:{port}")
        if hasattr(signal, "SIGHUP") and threading.current_thread() is threading.main_thread():
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGHUP, self._reload)

    def _reload(self) -> None:
        threading.Thread(target=self._exchange, daemon=True).start()

    def _exchange(self) -> None:
        try:
            names = self._service.models.reload()
        except AccordError as error:
            self._say(f"nothing was exchanged: {' '.join(str(error).split())}")
            return
        except Exception as error:
            self._say(f"nothing was exchanged: {_bug(error)}: {error}")
            return
        self._say(f"loaded anew: {', '.join(names) or 'nothing, as no folder changed'}")


def _bug(error: Exception) -> str:
    """Name a bug without what it says: that may be somebody's text."""
    return f"a bug in Accord: {type(error).__name__}"
