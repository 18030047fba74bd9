import re

import pytest

from accord.runs import progress
from accord.runs.progress import Bar, Console


class Terminal:
    """Makes stderr a terminal."""

    def __init__(self, stream):
        self.stream = stream

    def isatty(self):
        return True

    def __getattr__(self, name):
        return getattr(self.stream, name)


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is moved: clock[0] += seconds."""
    seconds = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: seconds[0])
    return seconds


def test_without_a_terminal_a_plain_line_now_and_then(clock, capsys):
    with Bar(Console(), "step", 100, done=10) as bar:
        for _ in range(10):
            clock[0] += 2
            bar.advance(1, "sst 1.000")
    # 8 steps in 16 seconds, 82 to go; the next line would be due at 32.
    assert capsys.readouterr().err == "step 18/100, 2 min 44 s left  sst 1.000\n"


def test_no_line_ends_in_spaces(clock, capsys):
    with Bar(Console(), "step", 2) as bar:
        clock[0] += 20
        bar.advance()
    assert capsys.readouterr().err == "step 1/2, 20 s left\n"


def test_a_quiet_console_says_nothing(clock, capsys):
    console = Console(quiet=True)
    with Bar(console, "step", 2) as bar:
        clock[0] += 60
        bar.advance()
        console.say("x")
    assert capsys.readouterr() == ("", "")


def test_lines_go_to_stderr(capsys):
    Console().say("[red]x")
    assert capsys.readouterr() == ("", "[red]x\n")


@pytest.mark.parametrize("no_color", [True, False])
def test_a_bar_on_a_terminal(monkeypatch, capsys, no_color):
    monkeypatch.setenv("TERM", "xterm-256color")
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    else:
        monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(progress.sys, "stderr", Terminal(progress.sys.stderr))
    console = Console()
    with Bar(console, "step", 4, done=1) as bar:
        bar.advance(1, "sst 1.000")
        console.say("epoch [1/2]")
    assert console.bar is None
    out, err = capsys.readouterr()
    assert out == ""
    assert "epoch [1/2]\r\n" in err or "epoch [1/2]\n" in err
    assert "2/4" in err
    assert "sst 1.000" in err
    assert bool(re.search(r"\x1b\[3\d", err)) is not no_color
