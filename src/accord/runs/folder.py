"""A run folder: everything about one run."""

from __future__ import annotations

import calendar
import contextlib
import json
import os
import platform
import socket
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from accord.durable import append, atomic_file, reach, recover_folder, write_atomic
from accord.errors import BusyError, RunFolderError, printable
from accord.installed import version
from accord.runs.lock import LOCK, TIME, busy, hold, is_locked, now
from accord.untrusted import check_name, parse_json, read_json

STATUS, LOG = "status.json", "log.txt"
_BEAT_SECONDS = 10.0
_STALE_SECONDS = 120.0  # without a heartbeat another host's process counts as gone
_BEFORE_STATUS = {
    LOG, "checkpoints", "predictions", "config.toml", "resolved.json", "environment.json",
}  # fmt: skip


class RunFolder:
    """The files of one run.

    `config.toml` as given, `resolved.json`, `environment.json`, `status.json`,
    `metrics.jsonl`, `results.json`, `scores.safetensors` (`accord.evaluation.scores`),
    `predictions/`, `checkpoints/step-N/`, `model/`, `log.txt`; while it
    runs `best/` (`accord.training.best`) and `kept/` (`accord.training.kept_epochs`);
    and `.lock`, which the one process that writes holds, with `.holder` saying which.

    Args:
        path: of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metrics = path / "metrics.jsonl"
        self.listeners: list[Callable[[dict[str, Any]], object]] = []
        self.checkpoints = path / "checkpoints"
        self.model = path / "model"
        self.best = path / "best"
        self.kept = path / "kept"
        self.predictions = path / "predictions"
        self._status: dict[str, Any] = {}
        self._beaten = 0.0

    @staticmethod
    def check_free(path: Path) -> None:
        """Check that a new run can be written to a path.

        Raises:
            RunFolderError: if something already exists, or it can't be made.
            BusyError: if another process is writing there.
        """
        try:
            check_name(path.absolute())
        except OSError as error:
            raise RunFolderError(f"{path}: can't be made: {error.strerror}") from None
        if is_locked(path):
            raise busy(path)
        if (path / STATUS).exists():
            raise RunFolderError(
                f"{path}: holds a run already; 'accord resume {path}' goes on with it,"
                " another --out starts anew"
            )
        if path.exists() and not (path.is_dir() and _holds_nothing(path)):
            raise RunFolderError(f"{path}: already exists and is not an empty folder")
        parent = next(folder for folder in path.absolute().parents if folder.exists())
        if not parent.is_dir():
            raise RunFolderError(f"{path}: can't be made: {parent} is not a folder")
        if not os.access(path if path.exists() else parent, os.W_OK):
            raise RunFolderError(f"{path}: can't be written to")

    @staticmethod
    def create(path: Path) -> RunFolder:
        """Make the folder of a new run.

        Raises:
            RunFolderError: as `check_free`.
        """
        RunFolder.check_free(path)
        try:
            for folder in (path / "checkpoints", path / "predictions"):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderError(f"{path}: can't be made: {error.strerror}") from None
        return RunFolder(path)

    @staticmethod
    def open(path: Path) -> RunFolder:
        """Open the folder of an earlier run.

        Raises:
            RunFolderError: if it holds none.
        """
        if not (path / STATUS).is_file():
            problem = "holds no run" if path.is_dir() else "no such folder"
            raise RunFolderError(f"{path}: {problem}; 'accord train CONFIG --out RUN' starts one")
        return RunFolder(path)

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Be the one process that writes here.

        Raises:
            BusyError: if another is.
        """
        with hold(self.path):
            recover_folder(self.model)
            yield

    def check_no_other_host(self) -> None:
        """Check that no process of another machine is using it: a lock may not reach across hosts.

        Raises:
            BusyError: if one has given a sign of life lately.
        """
        status = self._status_or_none() or {}
        if status.get("state") != "running" or status.get("host") == socket.gethostname():
            return
        try:
            beat = calendar.timegm(time.strptime(str(status.get("heartbeat")), TIME))
        except ValueError:
            return
        if abs(time.time() - beat) < _STALE_SECONDS:
            raise BusyError(
                f"{self.path}: is being written to by process {status.get('pid')} on"
                f" {status.get('host')} since {status.get('time')}"
            )

    def write_json(self, name: str, value: Any, *, sync: bool = True) -> None:
        """Write one of the folder's JSON files, whole or not at all; `sync` as `write_atomic`."""
        write_atomic(self.path / name, json.dumps(value, indent=2) + "\n", sync=sync)

    def read_json(self, name: str) -> dict[str, Any]:
        """Read one of the folder's JSON files.

        Raises:
            RunFolderError: if it is missing or damaged.
        """
        try:
            table = read_json(self.path / name)
        except (OSError, ValueError) as error:
            raise RunFolderError(f"{self.path / name}: can't be read: {error}") from None
        if not isinstance(table, dict):
            raise RunFolderError(f"{self.path / name}: is not a JSON object")
        return table

    def state(self) -> str:
        """Return what the run does: running, stopped, pruned, killed, failed or done.

        A process that was killed had no time to say so: its run is 'running' with nobody there, or
        its `status.json` can't be read, as after a power cut.
        """
        state = (self._status_or_none() or {}).get("state", "running")
        return "killed" if state == "running" and not is_locked(self.path) else str(state)

    def _status_or_none(self) -> dict[str, Any] | None:
        try:
            return self.read_json(STATUS)
        except RunFolderError:
            return None

    def set_status(self, state: str, **details: Any) -> None:
        """Record what the run is doing: running, stopped, pruned, failed or done."""
        who = {"pid": os.getpid(), "host": socket.gethostname()}
        self._status = {"state": state, "time": now(), **who, **details}
        self._beaten = time.monotonic()
        self.write_json(STATUS, self._status | {"heartbeat": now()})

    def beat(self, step: int) -> None:
        """Record now and then that the run is alive, and where it stands."""
        if time.monotonic() - self._beaten < _BEAT_SECONDS:
            return
        self._beaten = time.monotonic()
        self._status["step"] = step
        self.write_json(STATUS, self._status | {"heartbeat": now()}, sync=False)

    def append_metrics(self, record: dict[str, Any]) -> None:
        """Add a line to `metrics.jsonl`, and tell it to whoever listens."""
        append(self.metrics, json.dumps(record) + "\n")
        for listen in self.listeners:
            listen(record)

    def truncate_metrics(self, step: int) -> str | None:
        """Drop what was recorded after a step: the resumed run records it again.

        Returns:
            What is missing or unreadable of the steps before, or None.
        """
        if not self.metrics.exists():
            return f"{self.metrics}: is missing" if step else None
        damaged, steps = 0, 0
        with self.metrics.open("rb") as lines, atomic_file(self.metrics) as kept:
            for line in lines:
                if not line.endswith(b"\n"):
                    break  # cut off by the kill
                try:
                    record = parse_json(line)
                    if record["step"] <= step:
                        kept.write(line)
                        steps += record["kind"] == "step"
                except (ValueError, KeyError, TypeError):
                    damaged += 1
        if damaged or steps != step:
            return (
                f"{self.metrics}: {damaged} lines can't be read; {steps} of {step} steps are left"
            )
        return None

    def sync_metrics(self) -> None:
        """Flush `metrics.jsonl` to the disk."""
        if self.metrics.exists():
            reach("sync", self.metrics)
            with self.metrics.open("rb") as file:
                os.fsync(file.fileno())

    def log(self, text: str, level: str = "INFO") -> None:
        """Add to `log.txt`, each line with the time and its level."""
        lines = (f"{now()} {level:7} {printable(line)}\n" for line in text.split("\n") if line)
        append(self.path / LOG, "".join(lines))


def _holds_nothing(path: Path) -> bool:
    """Whether a folder is empty, or holds what a run left that was killed before it began."""
    entries = {entry.name for entry in path.iterdir()}
    names = {name for name in entries if not name.startswith(".")}
    return not names or (LOCK in entries and names <= _BEFORE_STATUS)


def environment(threads: int, device: str) -> dict[str, Any]:
    """Return what of the machine and its software a result may depend on."""
    packages = ("torch", "numpy", "tokenizers", "safetensors", "scipy")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "threads": threads,
        "device": device,
        "packages": {"accord": version(), **{name: package_version(name) for name in packages}},
    }


@cache  # a run asks three times
def package_version(package: str) -> str:
    """Return a package's version."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
