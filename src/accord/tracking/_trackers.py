"""All trackers of a run, each told by a thread of its own."""

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from typing import Any

from accord.installed import need
from accord.registered import registered
from accord.tracking._place import Place
from accord.tracking._values import values_of

_WAITING = 10_000  # lines that may wait for a slow tracker; of more the newest are left out
_PATIENCE = 20.0  # seconds that a run which ends waits for its trackers, all together
_SECRETS = re.compile(r"(?<=://)\S*@|(?<=token=)[^&\s]+|(?<=key=)[^&\s]+", re.IGNORECASE)

Say = Callable[[str], object]
Keep = Callable[[str, str], object]


def tracker_names() -> tuple[str, ...]:
    """Return the names of all trackers, without importing any."""
    return registered("tracking")


def check_installed(names: Sequence[str]) -> None:
    """Check that trackers' packages are there.

    Raises:
        UsageError: naming those that aren't.
    """
    for name in names:
        need(f"track.to = '{name}'", "trackers", *_module(name).PACKAGES)


class Trackers:
    """Tells a run's figures to all trackers that it names.

    Args:
        names: of the trackers.
        place: of the run.
        identities: by which trackers know the run from before it was resumed.
        every_steps: how many steps of a run make one that is told; evaluations always are.
        say: told of a tracker that fails, a line, once for each; by the tracker's thread.
        keep: given a tracker's name and its identity of the run, as soon as there is one.

    Attributes:
        done: whether the run is; as it ends, trackers are told.
    """

    def __init__(
        self, names: Sequence[str], place: Place, identities: Mapping[str, str], every_steps: int,
        say: Say, keep: Keep,
    ) -> None:  # fmt: skip
        self.done = False
        self._every, self._say = every_steps, say
        self._threads = [
            _Told(name, replace(place, identity=identities.get(name)), say, keep) for name in names
        ]

    def tell(self, record: Mapping[str, Any]) -> None:
        """Show a line of `metrics.jsonl`."""
        if record["kind"] == "dev" or (
            record["kind"] == "step" and record["step"] % self._every == 0
        ):
            for each in self._threads:
                each.tell(record)

    def end(self) -> None:
        """End all trackers; those that take too long are left to themselves."""
        if not self._threads:
            return
        until = time.monotonic() + _PATIENCE
        for each in self._threads:
            each.end(self.done)
        for each in self._threads:
            if not each.waited(until):
                self._say(f"{each.name} has not ended after {_PATIENCE:g} s; nobody waits for it")


class _Told:
    """A tracker, and the thread that tells it.

    Args:
        name: of the tracker.
        place: of the run.
        say, keep: as `Trackers`; not called any more once nobody waits.
    """

    def __init__(self, name: str, place: Place, say: Say, keep: Keep) -> None:
        self.name, self._place, self._say, self._keep = name, place, say, keep
        self._lines: queue.Queue[Mapping[str, Any]] = queue.Queue(_WAITING)
        self._left_out, self._done = 0, False
        self._ending, self._alone = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"tracker-{name}", daemon=True)
        self._thread.start()

    def tell(self, record: Mapping[str, Any]) -> None:
        """Have a line told."""
        try:
            self._lines.put_nowait(record)
        except queue.Full:
            self._left_out += 1

    def end(self, done: bool) -> None:
        """Let the thread end once it has told all lines."""
        if self._left_out and self._thread.is_alive():
            self._say(f"{self.name} is too slow: {self._left_out:,} lines were not shown there")
        self._done = done
        self._ending.set()
        with suppress(queue.Full):
            self._lines.put_nowait({})  # wakes it

    def waited(self, until: float) -> bool:
        """Wait for the thread until a time of `time.monotonic`; return whether it has ended."""
        self._thread.join(max(0.0, until - time.monotonic()))
        self._alone.set()
        return not self._thread.is_alive()

    def _work(self) -> None:
        try:
            tracker = _module(self.name).begin(self._place)
            if tracker.identity is not None and not self._alone.is_set():
                self._keep(self.name, tracker.identity)
            while not (self._ending.is_set() and self._lines.empty()):
                if line := self._lines.get():
                    tracker.log(line["step"], values_of(line))
            tracker.finish(self._done)
        except Exception as error:
            if not self._alone.is_set():
                lines = str(error).splitlines() or [""]
                what = _SECRETS.sub("", lines[0])[:200]
                self._say(f"{self.name} is told nothing more: {type(error).__name__}: {what}")


def _module(name: str) -> Any:
    return import_module(f"accord.tracking.{name.replace('-', '_')}")
