"""A JSON array of objects, read one by one: memory doesn't grow with the file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from accord.data.encodings import not_utf8
from accord.data.jsonlines import DECODER, JsonLinesReader, as_object
from accord.data.lines import read_blocks
from accord.data.rows import encodable
from accord.errors import DataError

OBJECT_CHARACTERS = 2**24
"""An object longer than this is not looked at to its end."""

_BLOCK = 2**16
_SPACE = re.compile(r"[ \t\n\r]*")


class JsonArrayReader(JsonLinesReader):
    """Reads the objects of an array; a row's line is the one in which its object begins."""

    _form = "the array should hold one object per row"

    def _values(self) -> Iterator[tuple[int, dict[str, Any] | str]]:
        text = _Text(read_blocks(self._path, self._encoding, _BLOCK))
        text.take("\ufeff")
        text.take("[")
        if text.take("]"):
            return
        while True:
            line = text.line
            try:
                value = text.value()
            except (ValueError, RecursionError) as error:
                raise DataError(f"{self._path}:{text.line}: {_fault(error)}") from None
            yield line, value
            if text.take("]"):
                return
            if not text.take(","):
                raise DataError(f"{self._path}:{text.line}: not valid JSON: no ',' or ']' follows")


class _Text:
    """What of the file is yet to be read, and the line in which that begins."""

    def __init__(self, blocks: Iterator[str]) -> None:
        self._blocks = blocks
        self._text, self._at, self._line = "", 0, 1

    @property
    def line(self) -> int:
        """The line of the next character that is no white space, from 1."""
        self._skip()
        return self._line

    def take(self, character: str) -> bool:
        """Pass over white space and, if it is the next, a character; return whether it was."""
        self._skip()
        found = self._text.startswith(character, self._at)
        if found:
            self._move(self._at + 1)
        return found

    def value(self) -> dict[str, Any] | str:
        """Read the next value, an object or what is wrong with it.

        Raises:
            ValueError: it is not valid JSON.
            RecursionError: it is nested too deeply.
        """
        self._skip()
        while True:
            try:
                value, stop = DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                size = len(self._text) - self._at
                if size >= OBJECT_CHARACTERS or not self._read(max(size, 1)):
                    raise
            else:
                break
        source = self._text[self._at : stop]
        self._move(stop)
        return as_object(value) if encodable(source) else not_utf8(source)

    def _skip(self) -> None:
        while True:
            space = _SPACE.match(self._text, self._at)
            assert space is not None  # it matches nothing, too
            self._move(space.end())
            if self._at < len(self._text) or not self._read(1):
                return

    def _move(self, at: int) -> None:
        self._line += self._text.count("\n", self._at, at)
        self._at = at

    def _read(self, characters: int) -> bool:
        """Read on by at least this many characters; return whether there were any."""
        blocks, size = [self._text[self._at :]], 0
        for block in self._blocks:
            blocks.append(block)
            size += len(block)
            if size >= characters:
                break
        self._text, self._at = "".join(blocks), 0
        return size > 0


def _fault(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "not usable JSON: nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        return f"not valid JSON: {error.msg}"
    return str(error)
