"""The encoding of a text file: by its byte order mark, or a guess where it isn't UTF-8."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from accord.data.lines import read_blocks, read_head
from accord.data.rows import encodable

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # begins as UTF-16's does
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_MOST_ACCENTED = 0.25  # of the letters; Western languages have fewer, except for a short text
_BLOCK = 2**16  # characters: a file may be a single line
_ODD_LINES = 1_000  # by which an encoding is guessed, at most
_UNLIKELY = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def marked_encoding(start: bytes) -> str | None:
    """Return the encoding that a byte order mark at the start of a file tells."""
    return next((name for mark, name in _MARKS.items() if start.startswith(mark)), None)


def text_encoding(head: bytes, named: str | None) -> str:
    """Return in which encoding a file is read that begins so; a byte order mark beats a name."""
    return marked_encoding(head) or named or "utf-8"


def unmarked_utf16(start: bytes) -> str | None:
    """Return which UTF-16 the start of a file without a mark is in, by where its NUL bytes are.

    Example:
        >>> unmarked_utf16("text".encode("utf-16-le")), unmarked_utf16(b"text")
        ('utf-16-le', None)
    """
    even, odd = start[::2].count(0), start[1::2].count(0)
    if even + odd < len(start) // 4:
        return None
    if 10 * even <= odd:
        return "utf-16-le"
    return "utf-16-be" if 10 * odd <= even else None


def western(data: bytes) -> str | None:
    """Return which of the Western encodings bytes may be in that are no UTF-8; None if in none.

    Example:
        >>> western("ein schöner Film für alle".encode("latin-1"))
        'cp1252'
        >>> western("хороший фильм".encode("cp1251")) is None
        True
    """
    for name in ("cp1252", "latin-1"):
        try:
            text = data.decode(name)
        except UnicodeDecodeError:
            continue
        letters = sum(map(str.isalpha, text))
        foreign = sum(not character.isascii() for character in text)
        if not _UNLIKELY.search(text) and foreign <= max(1, _MOST_ACCENTED * letters):
            return name
    return None


def not_utf8(text: str) -> str:
    """Say that a text is no UTF-8, and what it may be.

    Args:
        text: in which the bytes that are none are lone surrogates.
    """
    guess = western(text.encode("utf-8", "surrogateescape"))
    return "not valid UTF-8" + (f' (perhaps file_encoding = "{guess}")' if guess else "")


def guess_encoding(path: Path) -> str | None:
    """Guess in which encoding a text file is: 'ascii', 'utf-8', a Western one or UTF-16.

    Returns:
        Its name; None where bytes that are no UTF-8 look like no Western language.

    Raises:
        DataError: the file can't be read.
    """
    head = read_head(path)
    if marked := marked_encoding(head) or unmarked_utf16(head):
        return marked
    odd: list[bytes] = []
    lines = (line for block in read_blocks(path, "utf-8", _BLOCK) for line in block.split("\n"))
    for line in lines:
        if line.isascii():
            continue
        if encodable(line):
            return "utf-8"  # hardly ever by chance: where others are not, single rows are damaged
        odd.append(line.encode("utf-8", "surrogateescape"))
        if len(odd) >= _ODD_LINES:
            break
    return western(b"".join(odd)) if odd else "ascii"
