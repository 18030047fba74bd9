"""Several processes that answer at one address: one that dies is replaced, and what they are told
reaches all. Nothing is computed here, and no model is loaded."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from accord.errors import AccordError
from accord.serving.addresses import listen, listening
from accord.serving.exchange import Exchange, Say
from accord.serving.messages import Asked, Failed, Loaded, Order, Ready
from accord.serving.settings import COUNTED_IN, Settings

_GRACE = 35.0  # seconds for a worker to end: it gives what it was asked 30
_PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # seconds before a worker is started anew


def supervise(settings: Settings, host: str, port: int, say: Say) -> None:
    """Answer requests by several processes until this one is told to end.

    SIGTERM and Ctrl-C let what has begun be answered; SIGHUP has the models loaded anew whose
    folders changed, by all processes or by none.

    Args:
        settings: of the service.
        host: the address to listen at.
        port: of it; 0 takes one that is free.
        say: told what happens, a line each.

    Raises:
        UsageError: if there is no listening at that address.
        AccordError: if a model can't be loaded.
    """
    sockets = listen(host, port)
    with _counting() as count_death, _signals() as signals:
        Supervisor(settings, sockets, signals, count_death, say).run()


class Worker:
    """A process as its supervisor sees it.

    Args:
        number: from 1.
        settings: of the service.
        sockets: that listen.

    Attributes:
        process: that answers.
        pid: its number.
        line: to it.
        ready: whether it answers.
    """

    def __init__(self, number: int, settings: Settings, sockets: list[socket.socket]) -> None:
        context = multiprocessing.get_context("spawn")
        self.number, self.ready = number, False
        self.line, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(
            target=_work, args=(settings, sockets, theirs), name=f"worker-{number}", daemon=True
        )
        self.process.start()
        self.pid = self.process.pid or 0
        theirs.close()

    def send(self, message: object) -> None:
        """Say something to it, if it lives."""
        with contextlib.suppress(OSError):
            self.line.send(message)


class Supervisor:
    """Starts workers, and replaces those that die.

    Args:
        settings: of the service.
        sockets: that listen; closed when the service ends.
        signals: where the numbers of signals arrive.
        count_death: told the number of a process that died.
        say: told what happens.
    """

    def __init__(
        self, settings: Settings, sockets: list[socket.socket],
        signals: socket.socket, count_death: Callable[[int], None], say: Say,
    ) -> None:  # fmt: skip
        self._settings, self._sockets, self._signals, self._say = settings, sockets, signals, say
        self._count_death = count_death
        self._exchange = Exchange(say)
        self._workers: dict[int, Worker] = {}
        self._due = dict.fromkeys(range(1, settings.workers + 1), 0.0)  # when to start which
        self._deaths = dict.fromkeys(self._due, 0)  # of each number, since it last answered
        self._begun = False  # whether all have answered once
        self._end_by: float | None = None

    def run(self) -> None:
        """Answer until a signal ends it.

        Raises:
            AccordError: if no worker can begin.
        """
        try:
            while self._end_by is None or (self._workers and time.monotonic() < self._end_by):
                self._start_due()
                self._take_messages()
                self._exchange.advance(self._ready())
        finally:
            for worker in self._workers.values():
                worker.process.kill()
            self._close()

    def _start_due(self) -> None:
        if self._end_by is not None:
            return
        for number, due in [*self._due.items()]:
            if due <= time.monotonic():
                del self._due[number]
                self._workers[number] = Worker(number, self._settings, self._sockets)

    def _take_messages(self) -> None:
        by_line = {worker.line: worker for worker in self._workers.values()}
        for each in wait([self._signals, *by_line], self._patience()):
            if isinstance(each, socket.socket):
                self._obey(each.recv(1)[0])
                continue
            worker = by_line[each]  # type: ignore[index]
            try:
                message = worker.line.recv()
            except (EOFError, OSError):  # it closed its end: it is dead, or about to be
                self._bury(worker)
                continue
            self._take(worker, message)

    def _patience(self) -> float | None:
        """Return how long there is nothing to do."""
        times = [*self._due.values()] if self._end_by is None else [self._end_by]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _obey(self, number: int) -> None:
        if hasattr(signal, "SIGHUP") and number == signal.SIGHUP:
            self._exchange.ask()
        elif self._end_by is None:
            self._end()
        elif number == signal.SIGINT:  # a second Ctrl-C: at once
            self._end_by = 0.0

    def _end(self) -> None:
        self._end_by = time.monotonic() + _GRACE
        self._close()  # a connection that nobody will take is refused
        for worker in self._workers.values():
            if worker.ready:
                worker.send(Order.END)
            else:
                worker.process.terminate()

    def _close(self) -> None:
        for each in self._sockets:
            each.close()

    def _take(self, worker: Worker, message: Any) -> None:
        if isinstance(message, Failed):
            if not self._begun:
                raise AccordError(message.error)
            self._say(f"worker {worker.number} can't begin: {message.error}")
        elif isinstance(message, Ready):
            self._begin(worker, message)
        elif isinstance(message, Asked):
            self._exchange.ask(worker, message.number)
        elif isinstance(message, Loaded):
            self._exchange.loaded(worker, message)
        else:
            self._exchange.done(worker)

    def _begin(self, worker: Worker, message: Ready) -> None:
        if self._end_by is not None:
            worker.send(Order.END)
            return
        worker.ready, self._deaths[worker.number] = True, 0
        self._exchange.begun(message.hashes)
        if not self._begun and len(self._ready()) == len(self._deaths):
            self._begun = True
            for name, tasks in message.tasks.items():
                self._say(f"{name}: {', '.join(tasks)} ({message.hashes[name][:12]})")
            self._say(f"{listening(self._sockets)}, {len(self._deaths)} workers")

    def _ready(self) -> list[Worker]:
        return [worker for worker in self._workers.values() if worker.ready]

    def _bury(self, worker: Worker) -> None:
        worker.line.close()
        worker.process.join(_GRACE)
        del self._workers[worker.number]
        self._exchange.gone(worker)
        if self._end_by is not None:
            return
        if not self._begun and not worker.ready:
            raise AccordError(f"a worker {_cause(worker.process)} before it could answer")
        self._count_death(worker.pid)
        pause = _PAUSES[min(self._deaths[worker.number], len(_PAUSES) - 1)]
        self._deaths[worker.number] += 1
        self._due[worker.number] = time.monotonic() + pause
        then = f"in {pause:g} s" if pause else "now"
        self._say(f"worker {worker.number} {_cause(worker.process)}; another is started {then}")


def _cause(process: SpawnProcess) -> str:
    code = process.exitcode
    if code is None:
        return "hung"
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"


@contextlib.contextmanager
def _signals() -> Iterator[socket.socket]:
    """Give the socket where the numbers of signals arrive that a service obeys."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    obeyed = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before: Mapping[int, Any] = {
        each: signal.signal(each, lambda number, frame: None) for each in obeyed
    }
    wakeup = signal.set_wakeup_fd(theirs.fileno())
    try:
        yield ours
    finally:
        signal.set_wakeup_fd(wakeup)
        for each, handler in before.items():
            signal.signal(each, handler)
        ours.close()
        theirs.close()


@contextlib.contextmanager
def _counting() -> Iterator[Callable[[int], None]]:
    """Have all processes count in one folder, which ends with the service; give what counts those
    of them that die."""
    with tempfile.TemporaryDirectory(prefix="accord-serve-") as folder:
        before = os.environ.get(COUNTED_IN)
        os.environ[COUNTED_IN] = folder
        from prometheus_client import CollectorRegistry, Counter, multiprocess

        what = "Worker processes that died."
        deaths = Counter("accord_worker_deaths", what, registry=CollectorRegistry())

        def count(process: int) -> None:
            multiprocess.mark_process_dead(process, folder)  # type: ignore[no-untyped-call]
            deaths.inc()

        try:
            yield count
        finally:
            if before is None:
                del os.environ[COUNTED_IN]
            else:
                os.environ[COUNTED_IN] = before


def _work(settings: Settings, sockets: list[socket.socket], line: Connection) -> None:
    from accord.serving.worker import work  # with torch, which nobody needs here

    work(settings, sockets, line)
