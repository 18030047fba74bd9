"""What goes wrong outside of any request, as lines: asyncio would write many tracebacks."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Callable
from typing import Any

_PAUSE = 10.0  # seconds until a line is said again


def teller(
    say: Callable[[str], object], clock: Callable[[], float] = time.monotonic
) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    """Return a handler for a loop's faults.

    Args:
        say: told a line for each, the same one at most every ten seconds.
        clock: in seconds.
    """
    said: dict[str, float] = {}

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        line = _line(context.get("exception"))
        now = clock()
        if now - said.get(line, -_PAUSE) >= _PAUSE:
            said[line] = now
            say(line)

    return handle


def _line(error: BaseException | None) -> str:
    """Name a fault without what it says: that may be somebody's text."""
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return "no further connections for a moment: as many files are open as may be"
    return f"a fault outside of any request: {type(error).__name__}"
