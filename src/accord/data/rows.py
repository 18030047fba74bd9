"""A row of a file as its reader hands it on, and the choice of the columns in use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from accord.errors import DataError, nearest

Column = tuple[str, int]
"""A column's name, and how many columns before it have the same name."""
Whole = Literal["values", "arrow"]
"""As what `Row.cells` has the cells of a Parquet file: Python's values, coded classes by their
names; or Arrow's scalars."""

WORDY = 2.5
"""Words of a value, on average, from which a column looks like running text."""


@dataclass(frozen=True)
class Row:
    """One row: its values by column name, or why it could not be read.

    `line` is where the row starts in a text file, counted from 1; in a Parquet file it is the
    row's number. Values are text as it stands in the file, never a guessed type; a null or NaN
    is the empty text, and so is what an object has no key for, which `absent` names. `file` is the
    row's file among several, counted from 0. What a typed file has as a list is in `lists` too, as
    `values.list_cell` has it; its text is JSON. Where they are asked for, `cells` are those of all
    columns as the file has them: texts, lists, or what JSON or Parquet has (numbers in JSON as
    `values.Scalar`); None of a row that has other columns than its file.
    """

    line: int
    values: Mapping[str, str] | None
    fault: str | None = None
    absent: tuple[str, ...] = ()
    file: int = 0
    lists: Mapping[str, list[Any]] = field(default_factory=dict)
    cells: Mapping[Column, Any] | None = None


class Note(NamedTuple):
    """A note on a file as a whole, and what to do about it.

    `file` is the file's number among several, counted from 0.
    """

    what: str
    cure: str
    file: int = 0


class RowReader(Protocol):
    """What the reader of each format offers.

    `notes` are those on the file as a whole, complete once `rows` is exhausted; `metadata` that of
    a Parquet file's schema.
    """

    notes: list[Note]

    @property
    def metadata(self) -> Mapping[bytes, bytes]:
        """What a schema says beside its columns."""

    @property
    def class_names(self) -> Mapping[str, tuple[str, ...]]:
        """The names of the classes 0, 1, 2 and so on of each column of coded classes."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The column names in the file's order; delimited files may repeat or leave out names."""

    def rows(self, use: Sequence[str], whole: Whole | None = None) -> Iterator[Row]:
        """Yield every row with the values of the columns in `use`, and `whole` with all its cells.

        Raises:
            DataError: a column is missing, or stands in the file twice.
        """


def choose_columns(path: Path, columns: Sequence[str], use: Sequence[str]) -> list[int]:
    """Return the positions of the columns in `use`.

    Raises:
        DataError: a column is missing, or its name stands in the header twice.
    """
    for name in use:
        if columns.count(name) == 0:
            named = [_shorten(column) for column in columns if column]
            raise DataError(f"{path}: no column '{name}'{nearest(name, dict.fromkeys(named))}")
        if columns.count(name) > 1:
            raise DataError(f"{path}:1: column '{name}' stands in the header more than once")
    return [columns.index(name) for name in use]


def placed(names: Sequence[str]) -> tuple[Column, ...]:
    """Return columns by name, those of one name told apart.

    Example:
        >>> placed(["id", "", ""])
        (('id', 0), ('', 0), ('', 1))
    """
    return tuple((name, names[:i].count(name)) for i, name in enumerate(names))


def encodable(text: str) -> bool:
    """Return whether a text is proper Unicode: without lone surrogates.

    Readers turn bytes that are no UTF-8 into lone surrogates, and JSON can spell them out.
    """
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shorten(name: str) -> str:
    # A file without a header offers its first row, which may be a whole text.
    return name if len(name) <= 40 else name[:37] + "..."
