"""Processes that run cells, each one after the other; one that dies takes only its cell with it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

from accord.errors import Pruned, Stopped
from accord.grids.cell_run import CellResult, run_cell

if TYPE_CHECKING:
    from accord.training.run import Watch

Task = dict[str, Any]
Result = dict[str, Any]


class Worker:
    """A process that waits for cells.

    Args:
        threads: that its arithmetic may use.
    """

    def __init__(self, threads: int) -> None:
        context = multiprocessing.get_context("spawn")  # torch's threads don't survive a fork
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, threads), daemon=True)
        self.process.start()
        theirs.close()  # so that the end of the process is the end of the pipe
        self.task: Task | None = None
        self.watch: Watch | None = None
        self.alive = True

    def give(self, task: Task, watch: Watch | None) -> None:
        """Hand over a cell; its epochs are shown to `watch` here, which may give it up."""
        self.task, self.watch = task, watch
        with contextlib.suppress(OSError):  # `take` finds that it is dead
            self.connection.send((task, watch is not None))

    def take(self) -> Result | None:
        """Return its cell's result; None if it has only ended an epoch."""
        try:
            result, epochs = self.connection.recv()
        except (EOFError, OSError):
            return self._lost()
        if result is None:
            verdict = self._evaluate(epochs)
            with contextlib.suppress(OSError):
                self.connection.send(verdict)
            return None
        self.task = None
        found: Result = result
        return found

    def _evaluate(self, epochs: Sequence[dict[str, Any]]) -> str | None:
        """Return why the watch gives the cell up, or None."""
        assert self.watch is not None
        try:
            self.watch(epochs)
        except Pruned as raised:
            return str(raised)
        return None

    def _lost(self) -> Result:
        """Return the result of the cell of a process that ended."""
        assert self.task is not None
        name, self.task, self.alive = Path(self.task["folder"]).name, None, False
        self.process.join()
        code = self.process.exitcode or 0
        how = signal.Signals(-code).name if code < 0 else f"exit {code}"
        hint = "; out of memory?" if code == -signal.SIGKILL else ""
        state = "stopped" if code in (-signal.SIGTERM, -signal.SIGINT) else "failed"
        lost = CellResult(name, state, error=f"its process ended by {how}{hint}")  # type: ignore[arg-type]
        return vars(lost).copy()

    def send_signal(self, number: int) -> None:
        """Pass a signal on to a worker that has a cell."""
        if self.task is not None and self.process.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, number)

    def close(self) -> None:
        """Let the process end; a cell that it has is stopped and can be gone on with."""
        self.send_signal(signal.SIGTERM)
        self.connection.close()
        self.process.join(10)
        if self.process.is_alive():
            self.process.kill()


class Pool:
    """Processes that run cells at once; while it is entered, stop signals make them save and stop.

    Args:
        workers: how many processes.
        threads: of each.
    """

    def __init__(self, workers: int, threads: int) -> None:
        self.workers, self.threads = workers, threads
        self.idle: list[Worker] = []
        self.busy: list[Worker] = []
        self._signals = _Forwarded(self.busy)

    @property
    def stopped(self) -> bool:
        """Whether a signal came: nothing else is to be begun."""
        return self._signals.received > 0

    @property
    def has_room(self) -> bool:
        """Whether a cell can be given."""
        return len(self.busy) < self.workers and not self.stopped

    def give(self, task: Task, watch: Watch | None = None) -> None:
        """Have a cell run.

        Args:
            task: for `run_cell`.
            watch: is shown the cell's epochs in this process, and may give it up.
        """
        worker = self.idle.pop() if self.idle else Worker(self.threads)
        self.busy.append(worker)
        worker.give(task, watch)

    def results(self) -> list[Result]:
        """Wait a moment, and return the results that came; only cells that were given have any."""
        found = []
        ready = wait([worker.connection for worker in self.busy], timeout=0.5)
        for worker in [own for own in self.busy if own.connection in ready]:
            if (result := worker.take()) is None:
                continue
            self.busy.remove(worker)
            if worker.alive:
                self.idle.append(worker)
            found.append(result)
        return found

    def __enter__(self) -> Self:
        self._signals.__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        self._signals.__exit__()
        for worker in (*self.idle, *self.busy):
            worker.close()


class ThisProcess:
    """Runs cells one after the other where it is, with the face of a `Pool`.

    Args:
        threads: of it; default: torch's choice.

    Attributes:
        stopped: whether a signal stopped a cell: nothing else is to be begun.
    """

    def __init__(self, threads: int | None = None) -> None:
        self.threads, self.stopped = threads, False
        self._ended: list[Result] = []

    @property
    def has_room(self) -> bool:
        """Whether the last cell's result was taken."""
        return not self._ended

    def give(self, task: Task, watch: Watch | None = None) -> None:
        """Run a cell to its end."""
        self._ended.append(run_cell(task, watch))
        self.stopped = self.stopped or self._ended[-1]["state"] == "stopped"

    def results(self) -> list[Result]:
        """Return the results that weren't returned yet."""
        found, self._ended = self._ended, []
        return found

    def __enter__(self) -> Self:
        if self.threads is not None:
            import torch

            torch.set_num_threads(self.threads)
        return self

    def __exit__(self, *details: object) -> None:
        pass


def processes(workers: int, threads: int | None) -> Pool | ThisProcess:
    """Return what runs cells: with one worker this process, else so many others.

    Args:
        workers: how many cells run at once.
        threads: of each; default: this machine's processors over the workers.
    """
    if workers == 1:
        return ThisProcess(threads)
    return Pool(workers, threads or max(1, _processors() // workers))


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Forwarded:
    """While it is entered, stop signals go to the workers, which save and stop."""

    def __init__(self, workers: list[Worker]) -> None:
        self.workers, self.received = workers, 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._forward)

    def __exit__(self, *details: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _forward(self, number: int, frame: FrameType | None) -> None:
        self.received += 1
        for worker in self.workers:
            worker.send_signal(number)


def _serve(connection: Connection, threads: int) -> None:
    """Run cells until the pipe ends; a stop signal between cells stops the next one."""
    os.setsid()  # a terminal's Ctrl-C reaches the parent alone, which passes it on once
    stopping: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        stopping.append(number)

    _on_stop(note)
    import torch

    torch.set_num_threads(threads)
    while True:
        try:
            task, watched = connection.recv()
        except (EOFError, OSError):
            return
        if stopping:
            name = Path(task["folder"]).name
            result = vars(CellResult(name, "stopped", error="not begun")).copy()
        else:
            _on_stop(signal.default_int_handler)
            result = run_cell(task, _shown_to(connection) if watched else None)
            _on_stop(note)
        with contextlib.suppress(OSError):  # whoever waited is gone; the run folder has it
            connection.send((result, None))


def _shown_to(connection: Connection) -> Watch:
    """Return a watch that asks the process at a pipe's other end."""

    def watch(evaluations: Sequence[dict[str, Any]]) -> None:
        try:
            connection.send((None, list(evaluations)))
            verdict = connection.recv()
        except (EOFError, OSError):
            raise Stopped("the process that began this run is gone", 128 + signal.SIGTERM) from None
        if verdict is not None:
            raise Pruned(verdict)

    return watch


def _on_stop(handler: Any) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)
