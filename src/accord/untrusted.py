"""Files that strangers wrote, as text, JSON or TOML: each fault is one error of a known kind."""

from __future__ import annotations

import errno
import json
import re
import stat
import tomllib
from pathlib import Path
from typing import Any


class UnusableError(OSError):
    """A path that the system would take, and but that can't be used."""

    def __init__(self, number: int, reason: str, path: Path) -> None:
        super().__init__(number, reason, str(path))

    def __str__(self) -> str:
        return str(self.strerror)


def check_name(path: Path) -> None:
    """Check that a path can be given to the library of safetensors files, which takes UTF-8 alone.

    Raises:
        OSError: if it can't.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise UnusableError(errno.EILSEQ, "its name is not UTF-8", path) from None


def check_regular(path: Path) -> None:
    """Check that a path is no pipe or device, which would be waited for or could be read but once.

    Raises:
        OSError: if it is one, or can't be looked at.
    """
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise UnusableError(errno.EINVAL, "is a pipe or device; a file is needed", path)


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, with or without a byte order mark.

    Raises:
        OSError: if it can't be read, or is not a file.
        ValueError: if it is not UTF-8.
    """
    check_regular(path)
    return path.read_text(encoding="utf-8-sig")


def parse_json(text: str | bytes) -> Any:
    """Parse JSON.

    Raises:
        ValueError: if it is none, or nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        OSError, ValueError: as `read_text` and `parse_json`.
    """
    return parse_json(read_text(path))


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        OSError: if it can't be read, or is not a file.
        ValueError: if it is no TOML in UTF-8; says what is done about a path with backslashes.
    """
    try:
        text = read_text(path)
    except UnicodeDecodeError as error:
        raise ValueError(f"can't be read: {error}") from None
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("not valid TOML: nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"not valid TOML: {error}{_about_backslashes(text, str(error))}") from None


def _about_backslashes(text: str, error: str) -> str:
    matched = re.search(r"at line (\d+)", error)
    line = text.split("\n")[int(matched[1]) - 1] if matched else ""
    if not re.search(r'"[^"]*\\', line):
        return ""
    return "; backslashes, as in a Windows path, take single quotes: 'C:\\data\\train.csv'"
