"""Files of rows in memory: where they lie, and how messages name them."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from accord.data.in_memory import Rows, is_rows, rows_file
from accord.durable import write_atomic
from accord.errors import AccordError, DataError, RunFolderError, UsageError

FOLDER = "rows"
"""What holds them, beside the folder of what was made of them."""
_SPLITS = ("train", "dev", "test")


class RowFiles:
    """The files that rows were written to.

    Args:
        folder: where they lie; made as the first is written.
        out: the folder of what is made of them, which can't be the same one.
    """

    def __init__(self, folder: Path, out: Path | None = None) -> None:
        self.folder, self._out = folder.absolute(), out
        self._keys: dict[Path, list[str]] = {}
        self._made: dict[Path, int] = {}  # and when
        places = (self.folder, *self.folder.parents)
        self._missing = [place for place in places if not place.exists()]

    def placed(self, table: Mapping[str, Any]) -> dict[str, Any]:
        """Return a config's table with the files of the rows that stand in it.

        Rows that stand in several places are written once, so that tasks may share them.

        Raises:
            DataError: one line for each place with rows that can't be used.
            RunFolderError: the folder can't be written.
        """
        paths: dict[int, str] = {}  # by the rows' identity: `table` keeps them alive
        faults = list[str]()

        def file_of(rows: Any, key: str) -> Any:
            if not is_rows(rows):
                return rows
            try:
                if (known := paths.get(id(rows))) is not None:
                    self._keys[Path(known)].append(key)
                    return known
                return paths.setdefault(id(rows), str(self.path_of(rows, key)))
            except DataError as error:
                faults.extend(error.args)
                return rows

        changed = {**table}
        for kind in table.keys() & {"tasks", "texts"}:
            changed[kind] = _by_name(table[kind], kind, file_of)
        if faults:
            raise DataError(*faults)
        return changed

    def path_of(self, rows: Rows, key: str) -> Path:
        """Write rows, unless they are there, and return the file; `key` names it in messages.

        Raises:
            DataError: they can't be used.
            RunFolderError: the folder can't be written.
        """
        if self.folder == self._out:
            raise RunFolderError(f"{self.folder}: is where rows in memory are kept; choose another"
                                 " name for what is made of them")  # fmt: skip
        file = rows_file(rows, key)
        path = self.folder / file.name
        self._keys.setdefault(path, []).append(key)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if _holds(path, file.content):
                if path not in self._made:
                    os.utime(path)  # so that whoever made it leaves it to us
            else:
                write_atomic(path, file.content)
                self._made[path] = path.stat().st_mtime_ns
        except OSError as error:
            raise RunFolderError(f"{self.folder}: can't be written: {error.strerror}") from None
        return path

    def remove(self) -> None:
        """Remove what was written here and nobody else has taken up, and folders left empty."""
        for path, time in self._made.items():
            with suppress(OSError):
                if path.stat().st_mtime_ns == time:
                    path.unlink()
        with suppress(OSError):
            for place in self._missing:
                place.rmdir()

    def named(self, text: str) -> str:
        """Return a message with rows named by their key and number, not by file and line."""
        for path, keys in self._keys.items():
            said = " and ".join(keys)

            def row(found: re.Match[str], said: str = said) -> str:
                return f"row {int(found[1]) - 1} of {said}" if found[1] else said

            text = re.sub(rf"{re.escape(str(path))}(?::(\d+)\b)?", row, text)
        return text

    def line_of(self, path: Path, line: int) -> tuple[Path, int]:
        """Return how a report names a row: by its key in a path's place, and its number from 0."""
        keys = self._keys.get(path)
        return (path, line) if keys is None else (Path(" and ".join(keys)), line - 1)

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Name rows in the errors of the block as `named` does."""
        try:
            yield
        except AccordError as error:
            error.args = tuple(self.named(str(line)) for line in error.args)
            raise


def _by_name(sections: Any, kind: str, file_of: Callable[[Any, str], Any]) -> Any:
    """Return the tables of tasks with files in the place of rows; what is no table as it is:
    whoever reads the config says what is wrong with it."""
    if not isinstance(sections, Mapping):
        return sections
    return {
        name: {
            key: file_of(value, f"{kind}.{name}.{key}") if key in _SPLITS else value
            for key, value in section.items()
        }
        if isinstance(section, Mapping)
        else section
        for name, section in sections.items()
    }


@contextmanager
def kept_rows(out: Path, mark: str) -> Iterator[RowFiles]:
    """Keep the rows that a run is trained on beside its folder, so that it can be resumed.

    Args:
        out: the run's folder, or a comparison's.
        mark: the file in it that says that something was begun. If nothing was, as the block ends
            by a `UsageError`, the rows are removed.
    """
    files = RowFiles(out.absolute().parent / FOLDER, out.absolute())
    before = (out / mark).exists()
    try:
        with files.naming():
            yield files
    except UsageError:
        if before or not (out / mark).exists():
            files.remove()
        raise


@contextmanager
def passing_rows() -> Iterator[RowFiles]:
    """Keep rows for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="accord-rows-") as folder:
        files = RowFiles(Path(folder))
        with files.naming():
            yield files


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except FileNotFoundError:
        return False
