"""What reaches a terminal: one printable line each, in characters that its encoding has."""

from __future__ import annotations

import codecs
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from accord.errors import AccordError, escaped, printable

_ERRORS = "accord.signs"
_SIGNS = {
    "–": "-", "—": "-", "−": "-", "→": "->", "←": "<-", "±": "+-", "×": "x", "…": "...", "≤": "<=",
    "≥": ">=", "≈": "~", "·": ".", "▲": "^", "▼": "v", "½": "1/2", "²": "^2", "‖": "||", "′": "'",
    "\u00a0": " ",
}  # fmt: skip
"""Replacements for Accord's own symbols on terminals that lack them."""


def shown(text: str, stream: TextIO) -> str:
    """Return a text as a line of a stream shows it: printable, and in the stream's encoding."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return printable(text).encode(encoding, _ERRORS).decode(encoding)


def quoted(path: Path) -> str:
    """Return a path as a word of a command that is shown, to be typed."""
    return shlex.quote(str(path))


def echo(*lines: str) -> None:
    """Print lines on standard output.

    Raises:
        AccordError, BrokenPipeError: as `writing`.
    """
    with writing():
        sys.stdout.write("".join(f"{shown(line, sys.stdout)}\n" for line in lines))


@contextmanager
def writing() -> Iterator[None]:
    """Say an error of standard output's as one.

    Raises:
        AccordError: if it can't be written.
        BrokenPipeError: whoever read it is gone.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise AccordError(f"standard output: can't be written: {error.strerror}") from None


def tell(*lines: str) -> bool:
    """Print lines on standard error; return whether they could be."""
    try:
        for line in lines:
            print(shown(line, sys.stderr), file=sys.stderr, flush=True)
    except OSError:
        return False
    return True


def silence(stream: TextIO) -> None:
    """Let what is still written to a standard stream vanish, as the process ends."""
    number = 1 if stream is sys.stdout else 2
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)


def open_streams() -> None:
    """Make standard output and error streams that any text can be written to.

    One that the process was started without keeps its number, lest a file gets it: what is written
    to such an output fails, and to such an error stream vanishes.
    """
    for number, mode in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, mode), True)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_ERRORS)


def _in_other_signs(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(_SIGNS.get(c) or escaped(c) for c in text), error.end


codecs.register_error(_ERRORS, _in_other_signs)
