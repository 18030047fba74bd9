"""JSON lines: one object per line, read line by line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from accord.data.encodings import not_utf8
from accord.data.lines import read_lines
from accord.data.rows import Note, Row, Whole, choose_columns, encodable
from accord.data.values import Scalar, row_cells, spelt_number
from accord.errors import DataError

_LOOK_AHEAD_ROWS = 100


class JsonLinesReader:
    """Reads JSON lines; `columns` are the keys of the first hundred objects."""

    class_names: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    metadata: ClassVar[Mapping[bytes, bytes]] = {}

    def __init__(self, path: Path, encoding: str) -> None:
        self._path, self._encoding = path, encoding
        self.notes: list[Note] = []
        names: dict[str, None] = {}
        where, fault = 1, ""
        for line, value in islice(self._values(), _LOOK_AHEAD_ROWS):
            if isinstance(value, dict):
                names |= dict.fromkeys(value)
            elif not fault:
                where, fault = line, value
        if not names:
            raise DataError(
                f"{path}:{where}: not a JSON object ({fault or 'an empty one'}): {self._form}"
            )
        self.columns = tuple(names)

    _form = "JSON lines hold one object per line; a .json file may hold an array of objects"

    def rows(self, use: Sequence[str], whole: Whole | None = None) -> Iterator[Row]:
        """Yield every line that is not blank; a key that it lacks is absent."""
        choose_columns(self._path, self.columns, use)
        for line, value in self._values():
            if isinstance(value, str):
                yield Row(line, None, value)
                continue
            cells = {(name, 0): cell for name, cell in value.items()} if whole else None
            try:
                absent = tuple(name for name in use if name not in value)
                texts, lists = row_cells({name: value.get(name) for name in use})
                yield Row(line, texts, absent=absent, lists=lists, cells=cells)
            except ValueError as error:
                yield Row(line, None, str(error), cells=cells)

    def _values(self) -> Iterator[tuple[int, dict[str, Any] | str]]:
        """Yield each line's number with its object, or with what is wrong with it."""
        for number, line in enumerate(read_lines(self._path, self._encoding), 1):
            if line.strip():
                yield number, _parse(line)


def _parse(line: str) -> dict[str, Any] | str:
    if not encodable(line):
        return not_utf8(line)
    try:
        value = DECODER.decode(line)
    except json.JSONDecodeError as error:
        return f"not valid JSON: {error.msg} at column {error.colno}"
    except RecursionError:
        return "not usable JSON: nested too deeply"
    except ValueError as error:
        return str(error)
    return as_object(value)


def as_object(value: Any) -> dict[str, Any] | str:
    """Return a JSON value that is an object, or what is wrong with it."""
    return value if isinstance(value, dict) else "not a JSON object"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key '{twice}' stands in the object twice")
    return value


# Numbers keep their digits: 1.10 is not 1.1, and 1e400 no infinity.
DECODER = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_float=lambda spelling: Scalar(spelt_number(spelling)),
    parse_int=Scalar,
)
