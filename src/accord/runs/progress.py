"""Progress on stderr: a live bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any, Self

from accord.runs.estimate import duration
from accord.terminal import shown, tell

_PLAIN_SECONDS = 15.0


class Console:
    """Says what a run is doing; silent where `quiet`.

    Args:
        quiet: say nothing.
        stage: said before each line; empty for a run without stages.
        kept: whether the run's folder is one that its lines may name.
    """

    def __init__(self, quiet: bool = False, stage: str = "", kept: bool = True) -> None:
        self.kept = kept
        self.quiet = quiet or sys.stderr is None
        self.prefix = f"[{stage}] " if stage else ""
        self.bar: Bar | None = None

    def say(self, *lines: str) -> None:
        """Print lines."""
        if self.quiet:
            return
        named = [f"{self.prefix}{line}" for line in lines]
        if self.bar is not None and self.bar.live is not None:
            text = "\n".join(shown(line, sys.stderr) for line in named)
            self.bar.live.console.print(text, markup=False, highlight=False, emoji=False)
        elif not tell(*named):  # whoever read it is gone; the run goes on, and log.txt has it
            self.quiet = True


class Bar:
    """Progress of something counted, with an estimate of the time left.

    Args:
        console: where lines go meanwhile.
        title: what is counted.
        total: how many there are.
        done: how many were done before.
    """

    def __init__(self, console: Console, title: str, total: int, done: int = 0) -> None:
        self.console, self.title, self.total = console, title, total
        self.first = self.done = done
        self.live: Any = None

    def __enter__(self) -> Self:
        self.start = self.printed = time.monotonic()
        self.console.bar = self
        if not self.console.quiet and sys.stderr.isatty():
            self.live = _live_bar(self.console.prefix + self.title, self.total, self.done)
        return self

    def __exit__(self, *error: object) -> None:
        self.console.bar = None
        if self.live is not None:
            self.live.stop()

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count on.

        Args:
            count: how many were done since.
            note: what else to show.
        """
        self.done += count
        if self.live is not None:
            self.live.update(self.live.task_ids[0], completed=self.done, note=note)
        elif time.monotonic() - self.printed >= _PLAIN_SECONDS:
            self.printed = time.monotonic()
            rate = (self.done - self.first) / (self.printed - self.start)
            left = duration((self.total - self.done) / rate)
            self.console.say(f"{self.title} {self.done}/{self.total}, {left} left  {note}".rstrip())


def _live_bar(title: str, total: int, done: int) -> Any:
    from rich.console import Console as RichConsole
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
        TimeRemainingColumn(), TextColumn("{task.fields[note]}", markup=False),
        console=RichConsole(stderr=True),
    )  # fmt: skip
    bar.add_task(title, total=total, completed=done, note="")
    bar.start()
    return bar
