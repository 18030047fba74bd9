"""What separates the columns of a delimited file, by its header and its first rows."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from typing import get_args

from accord.data.textfiles import DelimiterName

CHARACTERS: dict[DelimiterName, str] = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
_PLURAL = {"tab": "tabs", "comma": "commas", "semicolon": "semicolons", "pipe": "pipes"}
_ENOUGH = 0.9  # of the best share of rows that agree with the header


def declared_delimiter(first: str) -> str | None:
    """Return the character of Excel's `sep=;` line; None where the first line is none.

    Example:
        >>> declared_delimiter("sep=;"), declared_delimiter("text;label")
        (';', None)
    """
    matched = re.fullmatch(r'"?sep=(.)"?', first.rstrip("\r\n"), re.IGNORECASE)
    return matched[1] if matched else None


def find_delimiter(lines: Sequence[str], *, quotes: bool, csv_name: bool) -> DelimiterName:
    """Return what separates the columns: what most rows have as many of as the header.

    Commas and the like that a space follows are prose, if something else separates as well.

    Args:
        lines: the header line and some of those below it.
        quotes: whether quotes are read as csv writers make them.
        csv_name: whether the file calls itself csv: one with a single column quotes its commas.

    Raises:
        ValueError: the header is separated otherwise than the rows, or in several ways.
    """
    header, *rows = (line.rstrip("\r\n") for line in lines)
    rows = [row for row in rows if row]
    counts = {name: _columns(header, name, quotes) for name in CHARACTERS}
    shares = {
        name: _share([_columns(row, name, quotes) for row in rows], count)
        for name, count in counts.items() if count > 1
    }  # fmt: skip
    if not shares:
        return "comma" if csv_name else "tab"
    best = max(shares.values())
    if not best:
        _check_rows(rows, list(shares), quotes)
    likely = [name for name, share in shares.items() if share >= _ENOUGH * best]
    if "tab" in likely:
        return "tab"
    text = "\n".join((header, *rows))
    likely = [name for name in likely if not _is_prose(text, CHARACTERS[name])] or likely
    if len(likely) > 1 and best:
        raise ValueError(
            f"{_and(likely)} separate the columns alike: name which one does, as in"
            f' delimiter = "{likely[0]}"'
        )
    return likely[0]


def other_delimiter(line: str, delimiter: DelimiterName) -> DelimiterName | None:
    """Return what seems to separate the columns of a line that has none by `delimiter`."""
    if CHARACTERS[delimiter] in line:
        return None
    return next((name for name in CHARACTERS if CHARACTERS[name] in line), None)


def split_line(line: str, delimiter: DelimiterName, *, quotes: bool = True) -> list[str]:
    """Return the fields of a line that is read by itself; a quote left open ends with it."""
    try:
        reader = csv.reader(
            [line],
            delimiter=CHARACTERS[delimiter],
            quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
        )
        return next(reader, [])
    except csv.Error:
        return []


def _columns(line: str, delimiter: DelimiterName, quotes: bool) -> int:
    return len(split_line(line, delimiter, quotes=quotes))


def _share(columns: Sequence[int], wanted: int) -> float:
    """Return which share of the rows has the header's number of columns; 1 without rows."""
    return columns.count(wanted) / len(columns) if columns else 1.0


def _check_rows(rows: Sequence[str], inside: Sequence[DelimiterName], quotes: bool) -> None:
    """Check that rows are not separated by what the header doesn't hold."""
    if any(CHARACTERS[name] in row for name in inside for row in rows):
        return
    for name in get_args(DelimiterName):
        columns = {_columns(row, name, quotes) for row in rows}
        if len(columns) == 1 and columns != {1}:
            raise ValueError(
                f"the header line is separated by {_and(inside)}, but the rows by {_PLURAL[name]}"
            )


def _is_prose(text: str, character: str) -> bool:
    return 2 * text.count(f"{character} ") > text.count(character)


def _and(names: Sequence[DelimiterName]) -> str:
    return " and ".join(_PLURAL[name] for name in names)
