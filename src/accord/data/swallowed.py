"""Whether a quote that was never meant as one has made several rows one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import isfinite

from accord.data.delimiters import CHARACTERS, split_line
from accord.data.textfiles import DelimiterName

SAMPLE_RECORDS = 1_000
_FEW = 5  # values that say nothing of whether others hold spaces
_WORDY = 2.5  # words of a value, on average, in a column of texts
_LEAST = 20  # values by which a column may be one of few classes


@dataclass
class ColumnLook:
    """What the values of a column have in common, by those that were added."""

    numeric: bool = True
    spaces: bool = False
    indented: bool = False
    empty: bool = False
    values: set[str] = field(default_factory=set)
    count: int = 0
    words: int = 0

    def add(self, value: str) -> None:
        """Take a value in."""
        if not value.strip():
            self.empty = True
            return
        self.numeric = self.numeric and _is_number(value)
        self.spaces = self.spaces or " " in value.strip()
        self.indented = self.indented or value[0].isspace()
        self.values.add(value.strip())
        self.count += 1
        self.words += len(value.split())

    def fits(self, value: str) -> bool:
        """Return whether a value may be one of the column."""
        bare = value.strip()
        if not bare:
            return self.empty or not self.count
        if self.numeric and self.count:
            return _is_number(bare)
        if self._is_of_classes:
            return bare in self.values
        if not self.spaces and " " in bare and self.count >= _FEW:
            return False
        return self.indented or not value[0].isspace()

    @property
    def _is_of_classes(self) -> bool:
        wordy = self.words > _WORDY * self.count
        return self.count >= _LEAST and 2 * len(self.values) <= self.count and not wordy


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
        self._looks = [ColumnLook() for _ in range(columns)]
        for fields in records:
            for look, value in zip(self._looks, fields, strict=True):
                if "\n" not in value and "\r" not in value:
                    look.add(value)

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


def _is_number(text: str) -> bool:
    try:
        return isfinite(float(text))
    except ValueError:
        return False
