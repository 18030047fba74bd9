"""Whether the line that should name a file's columns looks like a row of data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from accord.data.labels import is_number

_SENTENCE = re.compile(r"(\S+\s+){4}\S|(\S+\s+){2}\S.*[.!…]$", re.DOTALL)
HEADER_CURE = "a file's first line is no row: add a line above it that names the columns"
_LEAST_REPEATED = 2  # values for each different one, where a column is one of classes


@dataclass(frozen=True)
class Doubt:
    """Why a column's name looks like a value; `sure` where hardly a name is like that."""

    reason: str
    sure: bool

    @property
    def what(self) -> str:
        """What that means for the file."""
        return f"the first line looks like data, not like column names ({self.reason})"

    def __str__(self) -> str:
        return f"{self.what}; {HEADER_CURE}"


def doubt(name: str, values: Sequence[str], names: Sequence[str]) -> Doubt | None:
    """Return why a column's name looks like a value; None where it doesn't.

    Args:
        name: the column's.
        values: some of its values.
        names: of all columns: those that are numbered from 0 are as pandas names them.
    """
    numbered = [str(number) for number in range(len(names))]
    if not name or [given for given in names if given] == numbered[: sum(map(bool, names))]:
        return None
    if is_number(name):
        return Doubt(f"'{name}' is a number", sure=True)
    present = [value.strip() for value in values]
    if name in present and len(present) >= _LEAST_REPEATED * len(set(present)):
        return Doubt(f"'{name}' is a value of its column, too", sure=True)
    if _SENTENCE.match(name):
        return Doubt(f"'{name[:60]}' is a sentence", sure=False)
    return None


def first_doubt(names: Sequence[str], values: Mapping[str, Sequence[str]]) -> Doubt | None:
    """Return the surest doubt about some columns' names.

    Args:
        names: of all columns.
        values: some of the values of the columns that matter, by name.
    """
    doubts = [doubted for name, some in values.items() if (doubted := doubt(name, some, names))]
    return next((doubted for doubted in doubts if doubted.sure), doubts[0] if doubts else None)
