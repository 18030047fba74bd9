"""A run folder: where everything about one run is found again."""

from __future__ import annotations

import json
import os
import platform
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accord.config import Config
from accord.errors import RunFolderError

STATUS = "status.json"


class RunFolder:
    """The files of one run.

    `config.toml` as given, `resolved.json`, `environment.json`, `status.json`,
    `metrics.jsonl`, `results.json`, `predictions/`, `checkpoints/step-N/`, `model/`, `log.txt`.

    Args:
        path: of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metrics = path / "metrics.jsonl"
        self.checkpoints = path / "checkpoints"
        self.model = path / "model"
        self.predictions = path / "predictions"

    @staticmethod
    def check_free(path: Path) -> None:
        """Check that a new run can be written to a path.

        Raises:
            RunFolderError: if something is there already, or it can't be made.
        """
        if (path / STATUS).exists():
            raise RunFolderError(
                f"{path}: holds a run already; 'accord resume {path}' goes on with it,"
                " another --out starts anew"
            )
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise RunFolderError(f"{path}: is there already and not an empty folder")
        parent = next(folder for folder in path.absolute().parents if folder.exists())
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

    def write_json(self, name: str, value: Any) -> None:
        """Write one of the folder's JSON files, whole or not at all."""
        write_whole(self.path / name, json.dumps(value, indent=2) + "\n")

    def read_json(self, name: str) -> dict[str, Any]:
        """Read one of the folder's JSON files.

        Raises:
            RunFolderError: if it is missing or damaged.
        """
        try:
            table = json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunFolderError(f"{self.path / name}: can't be read: {error}") from None
        if not isinstance(table, dict):
            raise RunFolderError(f"{self.path / name}: is no JSON object")
        return table

    def state(self) -> str:
        """Return what the run was last known to do: running, stopped, failed or done.

        Raises:
            RunFolderError: if `status.json` is missing or damaged.
        """
        state = self.read_json(STATUS).get("state")
        if not isinstance(state, str):
            raise RunFolderError(f"{self.path / STATUS}: names no state")
        return state

    def config(self) -> Config:
        """Return the config that the run was begun with, paths absolute.

        Raises:
            RunFolderError: if `resolved.json` is missing or damaged.
        """
        try:
            return Config.model_validate(self.read_json("resolved.json")["config"], strict=False)
        except (KeyError, ValueError):
            file = self.path / "resolved.json"
            raise RunFolderError(f"{file}: holds no config that can be used") from None

    def set_status(self, state: str, **details: Any) -> None:
        """Record what the run is doing: running, stopped, failed or done."""
        self.write_json(STATUS, {"state": state, "time": now(), "pid": os.getpid(), **details})

    def append_metrics(self, record: dict[str, Any]) -> None:
        """Add a line to `metrics.jsonl`."""
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def truncate_metrics(self, step: int) -> None:
        """Drop what was recorded after a step: the resumed run records it again."""
        if not self.metrics.exists():
            return
        kept = []
        for line in self.metrics.read_text(encoding="utf-8").splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line + "\n")
            except (ValueError, KeyError):
                break  # a line cut off by the kill
        write_whole(self.metrics, "".join(kept))

    def log(self, text: str) -> None:
        """Add a line to `log.txt`."""
        with (self.path / "log.txt").open("a", encoding="utf-8") as file:
            file.write(f"{now()} {text}\n")


def now() -> str:
    """Return the time in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def write_whole(path: Path, text: str) -> None:
    """Write a file aside, flush it to the disk and rename it into place."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with aside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise


def replace_folder(path: Path, write: Callable[[Path], None]) -> None:
    """Write a folder aside, flush its files, and put it in the place of an older one.

    Args:
        path: of the folder.
        write: fills the folder that it is given.
    """
    aside, old = path.with_name(f".new-{path.name}"), path.with_name(f".old-{path.name}")
    for leftover in (aside, old):
        shutil.rmtree(leftover, ignore_errors=True)
    aside.mkdir(parents=True)
    write(aside)
    for file in aside.iterdir():
        with file.open("rb") as written:
            os.fsync(written.fileno())
    if path.exists():
        path.rename(old)
    aside.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def environment(threads: int, device: str) -> dict[str, Any]:
    """Return what of the machine and its software a result may depend on."""
    from importlib.metadata import version

    packages = ("accord", "torch", "numpy", "tokenizers", "safetensors", "scikit-learn", "scipy")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "threads": threads,
        "device": device,
        "packages": {name: version(name) for name in packages},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
