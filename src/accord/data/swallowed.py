"""Whether a stray quote has joined several rows into one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from accord.data.delimiters import CHARACTERS, split_line
from accord.data.labels import is_number
from accord.data.rows import WORDY
from accord.data.textfiles import DelimiterName

SAMPLE_RECORDS = 1_000
_FEW = 5  # values that say nothing of whether others hold spaces
_LEAST = 20  # values by which a column may be one of few classes


class ColumnLook:
    """What some values of a column have in common."""

    def __init__(self, values: Sequence[str]) -> None:
        present = [value for value in values if value.strip()]
        bare = [value.strip() for value in present]
        self._count, self._values = len(present), set(bare)
        self._empty = len(present) < len(values)
        self._numeric = all(map(is_number, bare))
        self._spaces = any(" " in value for value in bare)
        self._indented = any(value[0].isspace() for value in present)
        wordy = sum(len(value.split()) for value in bare) > WORDY * self._count
        repeated = 2 * len(self._values) <= self._count
        self._is_of_classes = self._count >= _LEAST and repeated and not wordy

    def fits(self, value: str) -> bool:
        """Return whether a value may be one of the column."""
        bare = value.strip()
        if not bare:
            return self._empty or not self._count
        if self._numeric and self._count:
            return is_number(bare)
        if self._is_of_classes:
            return bare in self._values
        if not self._spaces and " " in bare and self._count >= _FEW:
            return False
        return self._indented or not value[0].isspace()


class Rows:
    """Tells lines that may be rows of a file from lines of a text.

    Prose has commas, so the number of columns alone doesn't tell: values have to look like those
    of their columns, too.

    Args:
        records: the fields of some rows; those that span lines are left out.
        columns: how many there are in a row.
        delimiter: what separates them.
    """

    def __init__(
        self, records: Iterable[Sequence[str]], columns: int, delimiter: DelimiterName
    ) -> None:
        self._delimiter = delimiter
        fields = list(zip(*records, strict=True)) or [()] * columns
        self._looks = [
            ColumnLook([value for value in values if "\n" not in value and "\r" not in value])
            for values in fields
        ]

    def swallowed(self, lines: Sequence[str]) -> bool:
        """Return whether the lines of one record seem to be rows each.

        The first and the last of a text in quotes hold one half of the row's other columns each;
        where both are whole rows, and most between them, no text was meant.
        """
        first, *between, last = [self._is_row(line) for line in lines if line.strip()]
        return first and last and 2 * sum(between) >= len(between)

    def _is_row(self, line: str) -> bool:
        line, character = line.rstrip("\r\n"), CHARACTERS[self._delimiter]
        quoted = split_line(line, self._delimiter)
        if quoted and len(quoted) < len(self._looks):  # the last one's quote may be the stray one
            quoted[-1:] = quoted[-1].split(character)
        return any(
            len(fields) == len(self._looks)
            and all(look.fits(value) for look, value in zip(self._looks, fields, strict=True))
            for fields in (quoted, line.split(character))
        )
