"""Runs that wait before a step, so that what a test does meets them there on any machine.

`before(nth)` is code for a command that is started. Its workers fork from it and wait as it would:
by themselves they would fork from a new Python, which imports for seconds and waits for nothing.
"""

import gc
import itertools
import multiprocessing
import time
from multiprocessing.connection import Connection
from multiprocessing.context import ForkContext, ForkProcess
from pathlib import Path
from types import FrameType
from typing import Any

from accord.runs.signals import StopSignals
from accord.training.step import Learner

FORKING = "import held; held.fork_workers()\n"


def before(nth: int, go: Path | str = "") -> str:
    """Return code that holds each process before its n-th step, until a signal or the file."""
    return f"{FORKING}held.hold({nth}, {str(go)!r})\n"


def hold(nth: int, go: str) -> None:
    """Let this process, and those that fork from it, wait before the n-th step that it takes."""
    take_step, taken, came = Learner.step, itertools.count(1), []

    def noting(handle: Any) -> Any:
        def note(self: StopSignals, number: int, frame: FrameType | None) -> None:
            came.append(number)
            handle(self, number, frame)

        return note

    def held(self: Learner, *rest: Any) -> Any:
        late = next(taken) >= nth
        while late and not came and not (go and Path(go).exists()):
            time.sleep(0.005)
        return take_step(self, *rest)

    for name in ("_remember", "_note"):
        setattr(StopSignals, name, noting(getattr(StopSignals, name)))
    Learner.step = held  # type: ignore[method-assign]


class _Fork(ForkProcess):
    """A fork that leaves the others' pipes to them, so that the end of one is noticed."""

    def run(self) -> None:
        for each in gc.get_objects():
            if isinstance(each, Connection) and each not in self._args:  # type: ignore[attr-defined]
                each.close()
        super().run()


class _Forking(ForkContext):
    Process = _Fork


def fork_workers() -> None:
    """Let workers fork from this process, which has computed nothing."""
    multiprocessing.get_context = lambda method=None: _Forking()  # type: ignore[assignment]
