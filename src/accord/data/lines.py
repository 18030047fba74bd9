"""The lines of a text file: unpacked, decoded, and one clear error where that fails."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from accord.errors import DataError
from accord.untrusted import check_regular

HEAD_BYTES = 2**16
GZIP = b"\x1f\x8b"
_DAMAGED = (OSError, EOFError, zlib.error)


def read_head(path: Path) -> bytes:
    """Return a file's first bytes, unpacked.

    Raises:
        DataError: it is missing, a folder, or can't be read.
    """
    try:
        check_regular(path)  # a pipe would be waited for
        with _open(path) as file:
            return file.read(HEAD_BYTES)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise DataError(f"{path}: a folder, not a data file") from None
    except _DAMAGED as error:
        raise DataError(f"{path}: can't be read: {_reason(error)}") from None


def read_lines(path: Path, encoding: str, newline: str = "") -> Iterator[str]:
    r"""Yield a file's lines with their ends.

    Bytes that are no UTF-8 come out as lone surrogates, so that a row can be faulted for them.

    Args:
        path: the file, which may be packed by gzip.
        encoding: as `encodings.text_encoding` returns it.
        newline: what ends a line: "\n", or "" for "\n", "\r" and "\r\n".

    Raises:
        DataError: it can't be unpacked or decoded any further.
    """
    return _parts(path, encoding, newline, None)


def read_blocks(path: Path, encoding: str, characters: int) -> Iterator[str]:
    """Yield a file's text in blocks of characters; otherwise as `read_lines`."""
    return _parts(path, encoding, "", characters)


def _parts(path: Path, encoding: str, newline: str, characters: int | None) -> Iterator[str]:
    line = 1
    try:
        binary = _open(path)
        with io.TextIOWrapper(binary, encoding, errors="surrogateescape", newline=newline) as file:
            for part in file if characters is None else iter(lambda: file.read(characters), ""):
                yield part
                line += 1 if characters is None else part.count("\n")
    except UnicodeError:
        rest = "" if characters is None else " from here on"
        raise DataError(f"{path}:{line}: not valid {encoding}{rest}") from None
    except _DAMAGED as error:
        raise DataError(f"{path}:{line}: can't be read on: {_reason(error)}") from None


def _open(path: Path) -> BinaryIO:
    file = path.open("rb")
    if not file.peek(2).startswith(GZIP):
        return file
    file.close()
    return cast(BinaryIO, gzip.open(path))


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"damaged gzip file: {error}"
