"""Cells run one after the other in this process, or several at once, each in a process of its own.

A process that dies takes only its cell with it. A stop signal makes all of them save and stop, and
so does the end of the process that they were begun by.
"""

from __future__ import annotations

import _thread
import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from accord.errors import Pruned, Stopped
from accord.grids.cell_run import CellResult, run_cell
from accord.runs.processors import cap_threads, default_threads

if TYPE_CHECKING:
    from accord.training.loop import Watch

_IMPORTED_BY_RUNS = ["accord.training.stages.run", "scipy.stats"]
_SAVING_SECONDS = 10.0


@dataclass(frozen=True)
class Job:
    """A cell that is to be run.

    Attributes:
        cell: for `run_cell`.
        watch: is shown its epochs, in this process, and may give it up; None sees none.
    """

    cell: dict[str, Any]
    watch: Watch | None = None


Ended = Generator[tuple[Job, CellResult], None, None]
"""Cells, each with how it ended, in the order in which they did; closing it ends the others."""


def run_cells(
    draw: Callable[[], Job | None], workers: int = 1, threads: int | None = None
) -> Ended:
    """Run cells, and yield each with how it ended, until there are no more or a stop signal came.

    Args:
        draw: returns the next cell; None if there is none before another one has ended.
        workers: how many run at once; with 1 they run in this process.
        threads: of each; default: torch's choice, and with several workers the processors that this
            process may use, over them.
    """
    if workers == 1:
        return _run_here(draw, threads)
    return _run_apart(draw, workers, threads or default_threads(workers))


def _run_here(draw: Callable[[], Job | None], threads: int | None) -> Ended:
    if threads is not None:
        _set_threads(threads)
    while (job := draw()) is not None:
        result = CellResult(**run_cell(job.cell, job.watch))
        yield job, result
        if result.state == "stopped":
            return


def _run_apart(draw: Callable[[], Job | None], workers: int, threads: int) -> Ended:
    running: list[_Process] = []
    context = _context()
    with _forwarding(running) as signals:
        try:
            while True:
                while len(running) < workers and not signals and (job := draw()) is not None:
                    running.append(_Process(context, job, threads))
                    running[-1].stop(len(signals))  # that came as it was started
                if not running:
                    return
                ready = wait([process.connection for process in running])
                for process in [one for one in running if one.connection in ready]:
                    if (result := process.receive()) is not None:
                        running.remove(process)
                        yield process.job, result
        finally:
            for process in running:
                process.stop(1)
                process.connection.close()  # a cell that waits for a verdict on its epochs stops
            for process in running:
                process.end()


class _Process:
    """A process that runs one cell."""

    def __init__(self, context: BaseContext, job: Job, threads: int) -> None:
        self.job, self.signals = job, 0
        self.connection, theirs = context.Pipe()
        self.process = context.Process(  # type: ignore[attr-defined]
            target=_serve, args=(theirs, job.cell, job.watch is not None, threads), daemon=True
        )
        self.process.start()
        theirs.close()  # so that the end of the process is the end of the pipe

    def receive(self) -> CellResult | None:
        """Return how the cell ended; None if it has only ended an epoch."""
        try:
            message = self.connection.recv()
        except (EOFError, OSError):
            return self._lost()
        if isinstance(message, dict):
            self.process.join()
            return CellResult(**message)
        with contextlib.suppress(OSError):  # that it is dead is found next
            self.connection.send(self._verdict(message))
        return None

    def _verdict(self, epochs: Sequence[dict[str, Any]]) -> str | None:
        """Return why the watch gives the cell up, or None."""
        assert self.job.watch is not None
        try:
            self.job.watch(epochs)
        except Pruned as raised:
            return str(raised)
        return None

    def _lost(self) -> CellResult:
        """Return the result of a process that ended without one."""
        self.process.join()
        code = self.process.exitcode or 0
        how = signal.Signals(-code).name if code < 0 else f"exit {code}"
        hint = "; out of memory?" if how == "SIGKILL" else ""
        stopped = self.signals > 0 or code in (-signal.SIGTERM, -signal.SIGINT)
        return CellResult(
            Path(self.job.cell["folder"]).name,
            "stopped" if stopped else "failed",
            error=f"its process ended by {how}{hint}",
        )

    def stop(self, signals: int) -> None:
        """Send stop signals up to this number in all: a second one quits at once."""
        while self.signals < signals:
            self.signals += 1
            self.process.terminate()

    def end(self) -> None:
        """Wait a while for the process to save, and then no more."""
        self.process.join(_SAVING_SECONDS)
        self.process.kill()


def _context() -> BaseContext:
    """Return how processes are started: by forks of one that has imported what all of them need.

    It has computed nothing, as torch's threads don't survive a fork. Elsewhere than on Linux even
    imported libraries may not, so each process begins anew there.
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED_BY_RUNS)
    return context


@contextlib.contextmanager
def _forwarding(running: Sequence[_Process]) -> Iterator[list[int]]:
    """Pass stop signals on to processes; yield those that came so far."""
    signals: list[int] = []

    def forward(number: int, frame: FrameType | None) -> None:
        signals.append(number)
        for process in running:
            process.stop(len(signals))

    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _serve(connection: Connection, cell: dict[str, Any], watched: bool, threads: int) -> None:
    """Run a cell, in a process of its own."""
    if hasattr(os, "setsid"):
        os.setsid()  # a terminal's Ctrl-C reaches the parent alone, which passes it on once
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    _set_threads(threads)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    result = run_cell(cell, _shown_to(connection) if watched else None)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with contextlib.suppress(OSError):  # whoever waited is gone; the run folder has it
        connection.send(result)


def _set_threads(threads: int) -> None:
    import torch

    cap_threads()  # or a run would do so, and take some of these away
    torch.set_num_threads(threads)


def _stop_with_parent() -> None:
    """Wait for the end of the process that began this one, and let its cell save and stop."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    if sys.platform == "win32":  # where os.kill would end the process before it has saved
        _thread.interrupt_main(signal.SIGTERM)
    else:
        os.kill(os.getpid(), signal.SIGTERM)


def _shown_to(connection: Connection) -> Watch:
    """Return a watch that asks the process at a pipe's other end."""

    def watch(evaluations: Sequence[dict[str, Any]]) -> None:
        try:
            connection.send(list(evaluations))
            verdict = connection.recv()
        except (EOFError, OSError):
            raise Stopped("the process that began this run is gone", 128 + signal.SIGTERM) from None
        if verdict is not None:
            raise Pruned(verdict)

    return watch
