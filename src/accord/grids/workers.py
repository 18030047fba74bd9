"""Processes that run cells, each one after the other; one that dies takes only its cell with it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType
from typing import Any

from accord.grids.cell_run import CellResult, run_cell

Task = dict[str, Any]


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

    def give(self, task: Task) -> None:
        """Hand over a cell."""
        self.task = task
        self.connection.send(task)

    def take(self) -> tuple[dict[str, Any], bool]:
        """Return its cell's result, and whether the worker is still alive."""
        assert self.task is not None
        name, self.task = Path(self.task["folder"]).name, None
        try:
            result: dict[str, Any] = self.connection.recv()
            return result, True
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode or 0
            how = signal.Signals(-code).name if code < 0 else f"exit {code}"
            hint = "; out of memory?" if code == -signal.SIGKILL else ""
            error = f"its process ended by {how}{hint}; the same command goes on with it"
            state = "stopped" if code in (-signal.SIGTERM, -signal.SIGINT) else "failed"
            lost = CellResult(name, state, error=error)  # type: ignore[arg-type]
            return vars(lost).copy(), False

    def send_signal(self, number: int) -> None:
        """Pass a signal on to a worker that has a cell."""
        if self.task is not None and self.process.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, number)

    def close(self) -> None:
        """Let the process end."""
        self.connection.close()
        self.process.join(10)
        if self.process.is_alive():
            self.process.kill()


def in_workers(tasks: Sequence[Task], workers: int, threads: int) -> Iterator[dict[str, Any]]:
    """Yield cells' results as they come; after a signal only those of cells that were begun.

    Args:
        tasks: for `run_cell`.
        workers: how many processes.
        threads: of each.
    """
    left = list(reversed(tasks))
    busy: list[Worker] = []
    with _Forwarded(busy) as signals:
        idle = [Worker(threads) for _ in range(min(workers, len(tasks)))]
        try:
            while busy or (left and not signals.received):
                while idle and left and not signals.received:
                    busy.append(idle.pop())
                    busy[-1].give(left.pop())
                ready = wait([worker.connection for worker in busy], timeout=0.5)
                for worker in [own for own in busy if own.connection in ready]:
                    result, alive = worker.take()
                    busy.remove(worker)
                    if alive:
                        idle.append(worker)
                    elif left and not signals.received:
                        idle.append(Worker(threads))
                    yield result
        finally:
            for worker in (*idle, *busy):
                worker.close()


class _Forwarded:
    """While it is entered, stop signals go to the workers, which save and stop."""

    def __init__(self, workers: list[Worker]) -> None:
        self.workers, self.received = workers, 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Forwarded:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._forward)
        return self

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
            task = connection.recv()
        except (EOFError, OSError):
            return
        if stopping:
            name = Path(task["folder"]).name
            connection.send(vars(CellResult(name, "stopped", error="not begun")).copy())
            continue
        _on_stop(signal.default_int_handler)
        result = run_cell(task)
        _on_stop(note)
        connection.send(result)


def _on_stop(handler: Any) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)
