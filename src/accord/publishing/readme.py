"""A card's file: written anew as often as wanted, and never over what somebody else wrote."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from accord.durable import write_atomic
from accord.errors import UsageError
from accord.untrusted import read_text

README = "README.md"
_MARK = "<!-- Written by 'accord card'; it overwrites what nobody has changed since: {} -->\n"


def write_card(file: Path, text: str) -> None:
    """Write a card, over none but one that was written here and not changed since.

    Args:
        file: of the card.
        text: of the card.

    Raises:
        UsageError: if another file is there, or it can't be written; nothing was written.
    """
    try:
        if file.is_symlink() or (file.exists() and not is_unchanged(read_text(file))):
            raise UsageError(
                f"{file}: is there, and not as 'accord card' wrote it: it stays as it is;"
                " --output FILE writes another"
            )
        write_atomic(file, text + _MARK.format(_digest(text)))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is no text"
        raise UsageError(f"{file}: can't be written: {reason}") from None


def is_unchanged(text: str) -> bool:
    """Whether a file's text is a card as it was written here."""
    body, _, mark = text.rpartition("\n<!--")
    found = re.search("[0-9a-f]{64}", mark)
    return found is not None and f"<!--{mark}" == _MARK.format(_digest(f"{body}\n"))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
