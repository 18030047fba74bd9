"""Models exchanged by all workers, or by none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from accord.serving.messages import Exchanged, Loaded, Order

Say = Callable[[str], object]


class Listener(Protocol):
    """A worker that answers."""

    def send(self, message: object) -> None:
        """Say something to it."""


Asker = tuple[Listener | None, int]


class Exchange:
    """First all workers load the models whose folders changed; where all could, and have the same
    ones, all exchange them. Those that ask meanwhile wait for the next time.

    Args:
        say: told what became of it.
    """

    def __init__(self, say: Say) -> None:
        self._say = say
        self._hashes: Mapping[str, str] = {}  # of the models that answer
        self._asked: list[Asker] = []  # and not begun
        self._step = self._start  # what is due when nobody is awaited
        self._askers: list[Asker] = []
        self._awaited: list[Listener] = []
        self._loaded: list[Loaded] = []

    def ask(self, worker: Listener | None = None, number: int = 0) -> None:
        """Want models to be exchanged.

        Args:
            worker: that was asked to; None: it was the supervisor.
            number: of the request, at the worker.
        """
        self._asked.append((worker, number))

    def begun(self, hashes: Mapping[str, str]) -> None:
        """Take note of a new worker's models: where they are other ones, all shall have them."""
        if self._hashes and hashes != self._hashes:
            self.ask()
        self._hashes = self._hashes or hashes

    def advance(self, workers: Sequence[Listener]) -> None:
        """Do what is due.

        Args:
            workers: those that answer.
        """
        if workers and not self._awaited:
            self._step(workers)

    def loaded(self, worker: Listener, message: Loaded) -> None:
        """Take note of what a worker loaded."""
        self._loaded.append(message)
        self.done(worker)

    def done(self, worker: Listener) -> None:
        """Take note of a worker that did what was wanted."""
        if worker in self._awaited:
            self._awaited.remove(worker)

    def gone(self, worker: Listener) -> None:
        """Take note of a worker that died."""
        self.done(worker)
        self._asked = [each for each in self._asked if each[0] is not worker]
        self._askers = [each for each in self._askers if each[0] is not worker]

    def _start(self, workers: Sequence[Listener]) -> None:
        if self._asked:
            self._askers, self._asked, self._loaded = self._asked, [], []
            self._order(workers, Order.LOAD)
            self._step = self._decide

    def _decide(self, workers: Sequence[Listener]) -> None:
        if not self._loaded:  # all died meanwhile
            self._finish(Exchanged((), error="all workers died meanwhile"))
            return
        first, *others = self._loaded
        error = next((each.error for each in self._loaded if each.error), "")
        if not error and any(other.hashes != first.hashes for other in others):
            error = "a folder changed while it was loaded; load it again"
        if error:
            for worker in workers:
                worker.send(Order.FORGET)
            self._finish(Exchanged((), error=error))
        else:
            self._order(workers, Order.EXCHANGE)
            self._step = self._conclude

    def _conclude(self, workers: Sequence[Listener]) -> None:
        new = self._loaded[0].hashes
        names = tuple(name for name in new if new[name] != self._hashes.get(name))
        self._hashes = new
        self._finish(Exchanged((), names))

    def _order(self, workers: Sequence[Listener], order: Order) -> None:
        self._awaited = [*workers]
        for worker in workers:
            worker.send(order)

    def _finish(self, what: Exchanged) -> None:
        self._say(not_exchanged(what.error) if what.error else exchanged(what.names))
        for worker in dict.fromkeys(worker for worker, _ in self._askers):
            if worker is not None:
                numbers = tuple(number for asker, number in self._askers if asker is worker)
                worker.send(what._replace(numbers=numbers))
        self._askers, self._step = [], self._start


def exchanged(names: Sequence[str]) -> str:
    """Say which models were loaded anew."""
    return f"loaded anew: {', '.join(names) or 'nothing, as no folder changed'}"


def not_exchanged(error: object) -> str:
    """Say why no model was exchanged."""
    return f"nothing was exchanged: {' '.join(str(error).split())}"
