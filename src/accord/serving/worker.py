"""One of several processes that answer at the same sockets, as its supervisor tells it."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from itertools import count
from multiprocessing.connection import Connection
from typing import Any

from accord.errors import AccordError, UsageError
from accord.serving.app import Service
from accord.serving.messages import Asked, Exchanged, Failed, Loaded, Order, Ready
from accord.serving.models import Served
from accord.serving.server import Server, named_bug
from accord.serving.settings import Settings
from accord.terminal import tell


def work(settings: Settings, sockets: list[socket.socket], line: Connection) -> None:
    """Answer requests until the supervisor says that it is enough, or is gone.

    Args:
        settings: of the service.
        sockets: that listen; all workers have the same.
        line: to the supervisor.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all: the supervisor ends them
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        service = Service.started(settings)
    except AccordError as error:
        line.send(Failed(" ".join(str(error).split())))
        return
    server = Server(service, tell, ends=(signal.SIGTERM,))
    worker = Worker(service, server, line)
    service.reload_models = worker.ask_to_reload
    server.answer(sockets, worker.begin)


class Worker:
    """What the supervisor and the service of one process say to each other.

    Args:
        service: that answers.
        server: that it is answered by.
        line: to the supervisor.
    """

    def __init__(self, service: Service, server: Server, line: Connection) -> None:
        self._service, self._server, self._line = service, server, line
        self._sending = threading.Lock()
        self._new: Mapping[str, Served] = {}
        self._asked: dict[int, Future[list[str]]] = {}
        self._numbers = count()

    def begin(self) -> None:
        """Say that requests are answered, and listen to the supervisor."""
        models = self._service.models
        tasks = {model.name: tuple(model.described["tasks"]) for model in models.all()}
        self._send(Ready(models.hashes(), tasks))
        threading.Thread(target=self._listen, name="supervisor", daemon=True).start()

    def ask_to_reload(self) -> list[str]:
        """Have all workers load the models whose folders changed; return their names.

        Raises:
            UsageError: if one couldn't: all stay as they were.
        """
        answer: Future[list[str]] = Future()
        with self._sending:
            number = next(self._numbers)
            self._asked[number] = answer
            self._line.send(Asked(number))
        return answer.result()

    def _listen(self) -> None:
        try:
            while True:
                self._obey(self._line.recv())
        except (EOFError, OSError):  # the supervisor is gone
            self._end()

    def _obey(self, message: Order | Exchanged) -> None:
        if isinstance(message, Exchanged):
            self._tell(message)
        elif message is Order.LOAD:
            self._send(self._loaded())
        elif message is Order.EXCHANGE:
            self._service.models.exchange(self._new)
            self._new = {}
            self._send(Order.EXCHANGE)
        elif message is Order.FORGET:
            self._new = {}
        else:
            self._end()

    def _end(self) -> None:
        self._tell(Exchanged((*self._asked,), error="the service ends"))
        self._server.end()

    def _loaded(self) -> Loaded:
        models = self._service.models
        try:
            self._new = models.changed()
        except AccordError as error:
            return Loaded({}, " ".join(str(error).split()))
        except Exception as error:
            return Loaded({}, f"{named_bug(error)}: {error}")
        changed = {name: model.hash for name, model in self._new.items()}
        return Loaded({**models.hashes(), **changed})

    def _tell(self, message: Exchanged) -> None:
        for number in message.numbers:
            answer = self._asked.pop(number)
            if message.error:
                answer.set_exception(UsageError(message.error))
            else:
                answer.set_result(list(message.names))

    def _send(self, message: Any) -> None:
        with self._sending:
            self._line.send(message)
