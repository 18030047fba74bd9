"""Values made in a thread while the ones before them are used: the host keeps a GPU supplied."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from types import TracebackType
from typing import Generic, Self, TypeVar

import torch

from accord.runs.signals import existing

GPU_AHEAD = 2
"""What is packed while a GPU works: one to go on with, and one in the making."""

_HURRIED_SECONDS = 2.0  # for a value that is being made when Ctrl-C ends all

T = TypeVar("T")
_END = object()


def made_ahead(device: torch.device) -> int:
    """Return how many batches are made ahead of the one that a device computes.

    A CPU that computes has nothing to spare for it, so there it is none.
    """
    return 0 if device.type == "cpu" else GPU_AHEAD


class Ahead(Generic[T]):
    """An iterator's values in their order, each made in a thread before it is asked for.

    The thread starts with the first value that is asked for. An error comes where the value would
    have come that it kept from being made. The end of the `with` block ends the thread, which first
    finishes the value that it is making (after Ctrl-C only if it soon has), and closes the
    iterator. What torch keeps by thread (whether gradients are recorded, inference mode, autocast)
    is there as it is by default.

    Args:
        values: iterated in the thread alone.
        most: values that are made or being made beyond those taken; with 0 there is no thread, and
            a value is made when it is asked for.

    Example:
        >>> with Ahead((number**2 for number in range(4)), most=2) as squares:
        ...     list(squares)
        [0, 1, 4, 9]
    """

    def __init__(self, values: Iterator[T], most: int) -> None:
        self._values, self._most = values, most
        self._made: SimpleQueue[T | object] = SimpleQueue()
        self._room = threading.Semaphore(most)
        self._closed = self._ended = False
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._closed = self._ended = True
        self._room.release()
        if self._thread is None:
            self._close_values()
        elif self._thread.is_alive():
            hurried = kind is not None and issubclass(kind, KeyboardInterrupt)
            self._thread.join(_HURRIED_SECONDS if hurried else None)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        if not self._most:
            return next(self._values)
        if self._thread is None and not self._ended:
            self._thread = threading.Thread(target=self._make, name="accord-ahead", daemon=True)
            self._thread.start()
        made = _END if self._ended else self._made.get()
        if made is _END:
            self._ended = True
            error, self._error = self._error, None
            raise StopIteration if error is None else error
        self._room.release()
        return made  # type: ignore[return-value]

    def _make(self) -> None:
        # A signal is to wake the thread that handles it, which may be waiting for this one.
        # On Windows the main thread is the only one that is woken.
        if hasattr(signal, "pthread_sigmask"):
            blocked = existing("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
            signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
        try:
            while self._room.acquire() and not self._closed:
                self._made.put(next(self._values))
        except StopIteration:
            pass
        except BaseException as error:  # raised again where the value is asked for
            self._error = error
        finally:
            self._close_values()
            self._made.put(_END)

    def _close_values(self) -> None:
        if (close := getattr(self._values, "close", None)) is not None:
            close()
