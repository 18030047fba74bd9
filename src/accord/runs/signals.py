"""Signals during a run.

SIGINT, SIGTERM, SIGHUP: finish the step, save, stop; a second one quits at once. SIGUSR1: save and
go on; where there is no step to save, nothing.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, Self

from accord.errors import Stopped


@contextlib.contextmanager
def save_requests_ignored() -> Iterator[None]:
    """Let SIGUSR1 do nothing before, between and after runs: by default it ends the process.

    Processes that are started meanwhile ignore it as well, until they handle it themselves.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGUSR1) != signal.SIG_DFL
    ):
        yield
        return
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)


class StopSignals:
    """Remembers the first stop signal; a second one quits at once.

    Args:
        at_once: raise `Stopped` on the first, where there is no step to finish.

    Attributes:
        received: the signal's number, or None.
        save: whether SIGUSR1 came since this was last set to False.
    """

    def __init__(self, at_once: bool = False) -> None:
        self.at_once = at_once
        self.received: int | None = None
        self.save = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._remember)
            if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup asks for that
                self._before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._remember)
            self._before[signal.SIGUSR1] = signal.signal(signal.SIGUSR1, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = number
        if self.at_once:
            name = signal.Signals(number).name
            raise Stopped(f"{name}; 'accord resume' goes on with the run", 128 + number)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.save = True
