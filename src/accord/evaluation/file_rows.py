"""The rows of a file that are to be answered: read anew each time, checked, in windows."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from accord.data.examples import BadRow, Example, Unlabelled
from accord.data.reading import FilesReader
from accord.data.rows import Note, Row
from accord.data.warnings import DataWarning
from accord.errors import DataError
from accord.evaluation.answerable import Answerable, Source, TextGroup
from accord.evaluation.carried import Carried, Cells, carried, characters
from accord.evaluation.gathered_rows import Gathered
from accord.evaluation.passes import CHUNK_ROWS

_WINDOW_CHARACTERS = 2**23
_WINDOW_ANSWERS = 2**19


@dataclass(frozen=True)
class FileRow:
    """A row: its line, its cells as they are written, and what it is to each group of tasks."""

    line: int
    cells: Cells
    items: list[Example | BadRow]

    @property
    def error(self) -> str | None:
        """Why it lacks an answer; None if it doesn't."""
        reasons = dict.fromkeys(item.reason for item in self.items if isinstance(item, BadRow))
        return f"line {self.line}: {'; '.join(reasons)}" if reasons else None


class FileRows:
    """The rows of a source, read anew each time.

    Args:
        of: what can be answered of them.
        source: the files, and whether bad rows are skipped.
        typed: whether the output's columns have types.
    """

    def __init__(self, of: Answerable, source: Source, typed: bool) -> None:
        self.of, self.skip, self.path, self.typed = of, source.skip_bad_rows, source.path, typed
        self.gathered = [Gathered.of(of, group) if group.gathers else None for group in of.groups]
        self.columns = Carried(typed)
        self.metadata = FilesReader(of.files).metadata

    def read(self, notes: list[Note] | None = None) -> Iterator[FileRow]:
        """Yield the rows; `notes` gets the notes on a file as a whole."""
        reader = FilesReader(self.of.files)
        rows = reader.rows(self.of.columns, "arrow" if self.typed else "values")
        for number, row in enumerate(rows):
            path = self.of.files.paths[row.file]
            try:
                cells = carried(row.cells or {})
            except ValueError as error:
                fault = BadRow(path, row.line, str(error), row.file)
                yield FileRow(row.line, {}, [fault] * len(self.of.groups))
                continue
            items = [
                self._item(group, gathered, number, row)
                for group, gathered in zip(self.of.groups, self.gathered, strict=True)
            ]
            yield FileRow(row.line, cells, items)
        if notes is not None:
            notes += reader.notes

    def _item(
        self, group: TextGroup, gathered: Gathered | None, number: int, row: Row
    ) -> Example | BadRow:
        if gathered is not None:
            return gathered.faults.get(number) or Example((), number, None, row.line)
        item = group.reader.item(row, self.of.files.paths[row.file])
        assert not isinstance(item, Unlabelled)  # no labels are read
        return item

    def windows(self, answers: int = 1) -> Iterator[list[FileRow]]:
        """Yield lists of neighbouring rows, bounded in rows, in characters and in the answers, so
        many of which each has."""
        most = min(CHUNK_ROWS, max(1, _WINDOW_ANSWERS // answers))
        window: list[FileRow] = []
        size = 0
        for row in self.read():
            window.append(row)
            size += sum(map(characters, row.cells.values()))
            if len(window) >= most or size >= _WINDOW_CHARACTERS:
                yield window
                window, size = [], 0
        if window:
            yield window


def check_rows(rows: FileRows) -> int:
    """Return how many rows there are; warns of those that get no answer, or not all.

    Raises:
        DataError: for a bad row, or a file without rows to answer.
    """
    count, bad, without, first = 0, 0, 0, None
    notes: list[Note] = []
    for row in rows.read(notes):
        count += 1
        rows.columns.note(row.cells)
        faults = [item for item in row.items if isinstance(item, BadRow)]
        if faults and not rows.skip:
            raise DataError(f"{faults[0]} (--on-bad-row skip leaves its answer empty)")
        first = first or next(iter(faults), None)
        bad, without = bad + bool(faults), without + (len(faults) == len(row.items))
    for what, cure, number in notes:
        path = rows.of.files.paths[number]
        warnings.warn(str(DataWarning(str(path), what, cure)), stacklevel=3)
    if without == count:
        after = f"; the first: {first}" if first else ""
        raise DataError(f"{rows.path}: has no rows to use{after}")
    if first is not None:
        get = "get no answer" if bad == without else "lack an answer"
        warnings.warn(
            f"{bad} of {count} rows can't be read and {get}; the first: {first}", stacklevel=3
        )
    return count
