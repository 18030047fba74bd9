"""CoNLL files: one word per line with its tags, an empty line between sentences."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import ClassVar

from accord.data.encodings import not_utf8
from accord.data.lines import read_lines
from accord.data.rows import Note, Row, Whole, choose_columns, encodable
from accord.data.values import list_text
from accord.errors import DataError

SENTENCE_CHARACTERS = 2**24
"""A sentence longer than this is taken for one without an empty line after it."""

_SAMPLE_LINES = 1_000
_BLANK = " \t\r\n"


class ConllReader:
    """Reads a CoNLL file: each sentence is a row of lists, which begins in the line of its first
    word.

    Tabs separate columns, or runs of spaces in a file without tabs. Of each line `tokens` has the
    first column and `tags` the last, if there are several; those between are `2`, `3` and so on.
    `-DOCSTART-` lines are left out, and comments: lines that begin with `# ` and have other columns
    than most lines, or are `# name = value`.
    """

    class_names: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    metadata: ClassVar[Mapping[bytes, bytes]] = {}

    def __init__(self, path: Path, encoding: str) -> None:
        self._path, self._encoding = path, encoding
        self.notes: list[Note] = []
        # A carriage return inside a line ends it in files alone that have no other line ends.
        self._newline = "\n" if next(read_lines(path, encoding), "").endswith("\n") else ""
        filled = (line for _, line in self._lines() if line and not _is_metadata(line))
        lines = list(islice(filled, _SAMPLE_LINES))
        words = [line for line in lines if not line.startswith("# ")] or lines
        if not words:
            raise DataError(f"{path}: no word: a CoNLL file has one word per line, with its tag")
        self._tabs = 2 * sum("\t" in line for line in words) > len(words)
        ((self._width, _),) = Counter(len(self._split(line)) for line in words).most_common(1)
        between = (str(number) for number in range(2, self._width))
        self.columns = ("tokens", *between, "tags") if self._width > 1 else ("tokens",)

    def rows(self, use: Sequence[str], whole: Whole | None = None) -> Iterator[Row]:
        """Yield every sentence."""
        positions = choose_columns(self._path, self.columns, use)
        for first, words, fault in self._sentences():
            if fault:
                yield Row(first, None, fault)
                continue
            lists = {
                name: [word[i] for word in words] for name, i in zip(use, positions, strict=True)
            }
            texts = {name: list_text(of) for name, of in lists.items()}
            cells = {(name, 0): [word[i] for word in words] for i, name in enumerate(self.columns)}
            yield Row(first, texts, lists={**lists}, cells=cells if whole else None)

    def _sentences(self) -> Iterator[tuple[int, list[list[str]], str]]:
        """Yield each sentence's first line and the columns of its words, or the line and reason of
        its first fault."""
        first, words, fault, size = 0, list[list[str]](), "", 0
        for number, line in chain(self._lines(), [(0, "")]):
            columns = self._split(line)
            if not line and words:
                yield first, words, fault
                words, fault, size = [], "", 0
            if not line or fault or self._is_comment(line, columns):
                continue
            size += len(line)
            if fault := self._fault(line, columns, size):
                words = []
            first = first if words else number
            words.append(columns)

    def _lines(self) -> Iterator[tuple[int, str]]:
        """Yield each line's number and what it holds: nothing between sentences."""
        for number, line in enumerate(read_lines(self._path, self._encoding, self._newline), 1):
            between = not line.strip(_BLANK) or line.startswith("-DOCSTART-")
            yield number, "" if between else line.rstrip(_BLANK)

    def _split(self, line: str) -> list[str]:
        if self._tabs:
            return [column.strip(" ") for column in line.split("\t")]
        return re.split(r"[ \t]+", line.strip(_BLANK))

    def _is_comment(self, line: str, columns: Sequence[str]) -> bool:
        return line.startswith("# ") and (len(columns) != self._width or _is_metadata(line))

    def _fault(self, line: str, columns: Sequence[str], size: int) -> str:
        """Return what is wrong with a word's line; `size` is of its sentence up to it."""
        if len(columns) != self._width:
            count = "1 column" if len(columns) == 1 else f"{len(columns)} columns"
            return f"{count} where most lines have {self._width}"
        if not all(columns):
            return f"column {columns.index('') + 1} is empty"
        if "\0" in line:
            return "holds a NUL byte"
        if not encodable(line):
            utf8 = self._encoding.startswith("utf-8")
            return not_utf8(line) if utf8 else f"not valid {self._encoding}"
        if size > SENTENCE_CHARACTERS:
            return f"a sentence of more than {SENTENCE_CHARACTERS:,} characters (no empty lines?)"
        return ""


def _is_metadata(line: str) -> bool:
    """Whether a line is `# name = value`."""
    return line.startswith("# ") and line.split(maxsplit=3)[2:3] == ["="]
