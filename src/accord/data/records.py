"""The records of a delimited file: the fields of one line, or of several that a quote joins."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from accord.data.delimiters import CHARACTERS
from accord.data.textfiles import DelimiterName

FIELD_CHARACTERS = 2**24
"""A field longer than this is taken for a quote that was never closed."""


class Record(NamedTuple):
    """The fields of some lines, or why they have none; `first` is counted from 1."""

    lines: Sequence[str]
    first: int
    fields: Sequence[str]
    fault: str | None = None

    @property
    def last(self) -> int:
        """The number of its last line."""
        return self.first + len(self.lines) - 1


def read_records(
    lines: Iterator[str],
    delimiter: DelimiterName,
    *,
    quotes: bool,
    above: int = 0,
    swallowed: Callable[[Sequence[str]], bool] | None = None,
) -> Iterator[Record]:
    """Yield every record, the header's too; a stray quote costs its own line alone.

    Args:
        lines: with their ends.
        delimiter: what separates fields.
        quotes: whether quotes are read as csv writers make them.
        above: how many lines stand above these.
        swallowed: whether several lines that a quote joins below the header would each be a row.
    """
    numbered = _Lines(lines, above)
    reader = _parser(numbered, delimiter, quotes)
    while True:
        numbered.begin()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            fault = _quote_fault(error)
        else:
            record, first = numbered.record, numbered.first
            if len(record) == 1 or swallowed is None or first == above + 1 or not swallowed(record):
                yield Record(record, first, fields)
                continue
            fault = (
                f"a quote makes lines {first} to {first + len(record) - 1} one row, but they read"
                ' as rows each (quoting = "none" reads quotes as text, "csv" makes one row of them)'
            )
        numbered.again_after_first()
        reader = _parser(numbered, delimiter, quotes)
        yield Record(numbered.record, numbered.first, [], fault)


class _Lines:
    """Lines with their numbers that can be gone back to after a record's first."""

    def __init__(self, lines: Iterator[str], above: int) -> None:
        self._lines = lines
        self._ahead: list[str] = []  # lines to be read again, in reverse
        self.record: list[str] = []
        self._last = above

    @property
    def first(self) -> int:
        return self._last - len(self.record) + 1

    def begin(self) -> None:
        self.record = []

    def again_after_first(self) -> None:
        first, *again = self.record
        self._ahead.extend(reversed(again))
        self._last -= len(again)
        self.record = [first]

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._ahead.pop() if self._ahead else next(self._lines)
        self.record.append(line)
        self._last += 1
        return line


def _parser(lines: Iterator[str], delimiter: DelimiterName, quotes: bool) -> Iterator[list[str]]:
    csv.field_size_limit(max(csv.field_size_limit(), FIELD_CHARACTERS))
    return csv.reader(
        lines,
        delimiter=CHARACTERS[delimiter],
        quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
        strict=True,
    )


def _quote_fault(error: csv.Error) -> str:
    text = str(error)
    if "field larger" in text:
        return f"a field of more than {FIELD_CHARACTERS:,} characters (a quote left open?)"
    if "end of data" in text:
        return 'a quote is never closed (quoting = "none" reads quotes as text)'
    if "expected after" in text:
        return 'text after a closing quote (quoting = "none" reads quotes as text)'
    if "new-line character" in text:
        return "a carriage return inside a field that isn't quoted"
    return text
