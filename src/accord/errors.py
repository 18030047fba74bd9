"""Every error that Accord raises on purpose.

AccordError                  exit 1: something failed
├── TrainingError            exit 1: a run could not go on
│   └── NonFiniteError       a loss or gradient is not finite
├── BusyError                exit 1: another process writes to the run folder
├── Stopped                  exit 130 or 143: a signal came; the run can be resumed
├── Pruned                   exit 1: a search gave the run up; it can be resumed
└── UsageError               exit 2: wrong usage, config or input
    ├── ConfigError          a key, a value or an override
    ├── DataError            a file, a column or a row
    ├── EncoderError         a folder or hub id that is no usable encoder
    ├── ModelError           a folder that is no Accord model
    └── RunFolderError       an output folder that can't be used
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from unicodedata import category


class AccordError(Exception):
    """The base of every error raised on purpose.

    Args:
        lines: for the user, one for each thing that is wrong; whatever they name is printable.
    """

    exit_code = 1

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)

    def __str__(self) -> str:
        return "\n".join(map(printable, map(str, self.args)))


class TrainingError(AccordError):
    """A run that could not go on."""


class NonFiniteError(TrainingError):
    """A loss or gradient that is not finite; nothing was updated.

    Args:
        message: one line for the user.
        rows: for each task concerned the rows of its split.
    """

    def __init__(self, message: str, rows: dict[str, list[int]]) -> None:
        super().__init__(message)
        self.rows = rows


class BusyError(AccordError):
    """A run folder that another process is writing to."""


class Stopped(AccordError):  # noqa: N818 (no error: the user asked for it)
    """A run that a signal stopped after a checkpoint.

    Args:
        message: one line for the user.
        exit_code: 128 plus the signal's number.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Pruned(AccordError):  # noqa: N818 (no error: whoever watches the run asked for it)
    """A run that a search pruned between two epochs, after a checkpoint."""


class UsageError(AccordError):
    """Wrong usage, config or input: nothing was written."""

    exit_code = 2


class ConfigError(UsageError):
    """A config key, value or override that can't be used."""


class DataError(UsageError):
    """A data file, column or row that can't be used."""


class EncoderError(UsageError):
    """A folder or hub id that is no usable BERT encoder."""


class ModelError(UsageError):
    """A folder that is no Accord model."""


class RunFolderError(UsageError):
    """An output folder that can't be used."""


def printable(text: str) -> str:
    r"""Escape line ends and all else that a terminal doesn't print, so that a message is one line.

    Spaces of any width stay as they are.

    Example:
        >>> printable("a\nb")
        'a\\nb'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or category(c) == "Zs" else escaped(c) for c in text)


def escaped(character: str) -> str:
    r"""Return a character as a Python string spells it in ASCII: '\n', '\x1b', '\u202e'."""
    return character.encode("unicode_escape", "surrogatepass").decode()


_SHOWN_NAMES = 30  # of allowed ones: a task may have a thousand labels


def nearest(value: str, allowed: Iterable[str]) -> str:
    """Return `; did you mean 'x'?`, or the allowed names where nothing is near.

    Example:
        >>> nearest("epoch", ["epochs", "seed"])
        "; did you mean 'epochs'?"
        >>> nearest("zzz", ["epochs", "seed"])
        '; allowed: epochs, seed'
    """
    names = list(allowed)
    close = difflib.get_close_matches(value, names, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    more = f" and {len(names) - _SHOWN_NAMES} more" * (len(names) > _SHOWN_NAMES)
    return f"; allowed: {', '.join(names[:_SHOWN_NAMES])}{more}"


def check_known(where: object, names: Iterable[str], known: Iterable[str]) -> None:
    """Check that a model or config has some tasks.

    Raises:
        UsageError: naming the first that it hasn't, and what is near.
    """
    known = [*known]
    for name in names:
        if name not in known:
            raise UsageError(f"{where}: no task '{name}'{nearest(name, known)}")
