"""Signals during a run.

SIGINT, SIGTERM, SIGHUP: finish the step, save, stop; a second one quits at once. SIGUSR1: save and
go on; where there is no step to save, nothing. Windows has neither SIGHUP nor SIGUSR1.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, Self

from accord.errors import Stopped


def existing(*names: str) -> list[signal.Signals]:
    """Return the signals of these names that the system has."""
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


@contextlib.contextmanager
def save_requests_ignored() -> Iterator[None]:
    """Let SIGUSR1 do nothing before, between and after runs: by default it ends the process.

    Processes that are started meanwhile ignore it as well, until they handle it themselves.
    """
    ignored = [
        number for number in existing("SIGUSR1")
        if threading.current_thread() is threading.main_thread()
        and signal.getsignal(number) == signal.SIG_DFL
    ]  # fmt: skip
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        for number in ignored:
            signal.signal(number, signal.SIG_DFL)


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
            for number in existing("SIGINT", "SIGTERM", "SIGHUP"):
                hung_up = number not in (signal.SIGINT, signal.SIGTERM)
                if hung_up and signal.getsignal(number) == signal.SIG_IGN:
                    continue  # nohup asks for that
                self._before[number] = signal.signal(number, self._remember)
            for number in existing("SIGUSR1"):
                self._before[number] = signal.signal(number, self._note)
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
