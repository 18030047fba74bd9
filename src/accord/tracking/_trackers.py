"""All trackers of a run, told by a thread of their own."""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from typing import Any

from accord.installed import need
from accord.registered import registered
from accord.tracking._place import Place, Tracker
from accord.tracking._values import values_of

_WAITING = 10_000  # lines that may wait for slow trackers; of more the newest are left out
_PATIENCE = 20.0  # seconds that a run which ends waits for its trackers
_CREDENTIALS = re.compile(r"(?<=://)[^\s/@]+@")


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
        say: told of a tracker that fails, a line, once for each.
        keep: given the identities of those that have one.
    """

    def __init__(
        self, names: Sequence[str], place: Place, identities: Mapping[str, str], every_steps: int,
        say: Callable[[str], object], keep: Callable[[Mapping[str, str]], object],
    ) -> None:  # fmt: skip
        self._names, self._place, self._identities = names, place, identities
        self._every, self._say, self._keep = every_steps, say, keep
        self._lines: queue.Queue[Mapping[str, Any] | bool] = queue.Queue(_WAITING)
        self._left_out = 0
        self._thread = threading.Thread(target=self._work, name="trackers", daemon=True)
        if names:
            self._thread.start()

    def tell(self, record: Mapping[str, Any]) -> None:
        """Show a line of `metrics.jsonl`."""
        wanted = record["kind"] == "dev" or (
            record["kind"] == "step" and record["step"] % self._every == 0
        )
        if not wanted or not self._names:
            return
        try:
            self._lines.put_nowait(record)
        except queue.Full:
            self._left_out += 1

    def end(self, done: bool) -> None:
        """End all trackers.

        Args:
            done: whether the run is.
        """
        if not self._names:
            return
        if self._left_out:
            self._say(f"trackers were too slow: {self._left_out:,} lines were not shown")
        with suppress(queue.Full):
            self._lines.put(done, timeout=_PATIENCE)
        self._thread.join(_PATIENCE)
        if self._thread.is_alive():
            self._say(f"trackers have not ended after {_PATIENCE:g} s; the run doesn't wait")

    def _work(self) -> None:
        trackers: dict[str, Tracker] = {}
        for name in self._names:
            with self._guarded(name, trackers):
                place = replace(self._place, identity=self._identities.get(name))
                trackers[name] = _module(name).begin(place)
        known = {name: each.identity for name, each in trackers.items() if each.identity}
        if known:
            self._keep(known)
        while not isinstance(line := self._lines.get(), bool):
            values = values_of(line)
            for name, each in [*trackers.items()]:
                with self._guarded(name, trackers):
                    each.log(line["step"], values)
        for name, each in [*trackers.items()]:
            with self._guarded(name, trackers):
                each.finish(line)

    @contextmanager
    def _guarded(self, name: str, trackers: dict[str, Tracker]) -> Iterator[None]:
        """Leave a tracker out from where it fails, and say so."""
        try:
            yield
        except Exception as error:
            trackers.pop(name, None)
            lines = str(error).splitlines() or [""]
            what = _CREDENTIALS.sub("", lines[0])[:200]
            self._say(f"{name} is told nothing more: {type(error).__name__}: {what}")


def _module(name: str) -> Any:
    return import_module(f"accord.tracking.{name.replace('-', '_')}")
