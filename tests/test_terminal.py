"""What reaches a terminal is printable, a line each, in any encoding, and to any kind of stream."""

import ast
import io
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.cli.results import new_table, print_table, stacked
from accord.errors import ConfigError, NonFiniteError, nearest, printable
from accord.runs.folder import RunFolder
from accord.runs.progress import Bar, Console
from accord.terminal import echo, shown, tell

ANY = st.text(st.characters(exclude_categories=[]), max_size=30)  # lone surrogates, too
HOSTILE = [
    "a\nb", "\x1b[31mred", "\u202egpj.exe", "tab\tx", "\x00", "\udcff", "\r", "\x85", ":smile:",
    "[bold]", "\u2028", "−±…", "日本", "\x9b31m",
]  # fmt: skip


def stream(encoding):
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")


def written(ours):
    ours.flush()
    return ours.buffer.getvalue().decode(ours.encoding)


def is_plain(text):
    return all(c.isprintable() or unicodedata.category(c) == "Zs" for c in text)


@given(ANY)
def test_any_text_is_one_printable_line_in_any_encoding(text):
    assert is_plain(printable(text))
    assert printable(printable(text)) == printable(text)
    for encoding in ("ascii", "latin-1", "cp1252", "utf-8"):
        line = shown(text, stream(encoding))
        line.encode(encoding)
        assert is_plain(line)
    if is_plain(text) and text.isprintable():
        assert shown(text, stream("utf-8")) == text


def test_own_signs_have_plain_ones():
    line = shown("−0.1 ± 0.2 → × … – ≤ ▲ é", stream("ascii"))
    assert line == "-0.1 +- 0.2 -> x ... - <= ^ \\xe9"


@given(st.lists(ANY, min_size=1, max_size=3), ANY)
def test_an_error_has_a_line_for_each_fault(lines, more):
    error = ConfigError(*lines)
    assert len(str(error).split("\n")) == len(lines)
    assert all(map(is_plain, str(error).split("\n")))
    error.args = (f"{more}: {error}",)
    assert is_plain(str(error))
    assert is_plain(str(NonFiniteError(more, {})))
    assert is_plain(str(ConfigError(nearest(more, lines))))


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_lines_and_tables(monkeypatch, encoding):
    out, err = stream(encoding), stream(encoding)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.delenv("COLUMNS", raising=False)
    echo(*HOSTILE)
    assert tell(*HOSTILE)
    Console().say(*HOSTILE)
    lines = [shown(text, out) for text in HOSTILE]
    assert written(out).split("\n") == [*lines, ""]
    assert written(err).split("\n") == [*lines, *lines, ""]
    table = new_table("name", "−", "of")
    for text in HOSTILE:
        table.add_row(text, "1", text * 9)
    print_table(table)
    rows = written(out).split("\n")[len(lines) :]
    for text in lines:
        assert any(text in row and text * 9 in row for row in rows), text
    assert all(is_plain(row) for row in rows)
    monkeypatch.setenv("COLUMNS", "40")
    print_table(table)
    rows = written(out).split("\n")
    assert all(any(text * 9 in row for row in rows) for text in lines)  # whole, though too long
    assert all(map(is_plain, rows))


def test_stacked_rows_keep_names_whole():
    table = new_table("n", "value", "")
    table.add_row("x" * 90, "y" * 50, "z")
    assert stacked(table, 20) == ["n", "x" * 90, "    value", "    " + "y" * 50 + ";", "    z"]


def test_a_log_s_lines_are_its_own(tmp_path):
    run = RunFolder(tmp_path)
    for text in HOSTILE:
        run.log(f"name {text}", "ERROR")
    lines = (tmp_path / "log.txt").read_text(encoding="utf-8").split("\n")[:-1]
    assert all(map(is_plain, lines))
    assert all(line[21:].startswith("ERROR   ") for line in lines)


def test_without_a_standard_error_stream_a_run_is_quiet(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", None)
    console = Console()
    with Bar(console, "row", 3) as bar:
        console.say("a line")
        bar.advance()
    assert capsys.readouterr().out == ""


def test_text_leaves_at_one_place():
    """Elsewhere nothing prints: not click, not print, not a stream itself."""
    source = Path(__file__).parents[1] / "src" / "accord"
    actual = []
    for file in sorted(source.rglob("*.py")):
        if file.name == "terminal.py":
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                call = ast.unparse(node.func)
                if call in ("print", "click.echo", "click.secho", "sys.stdout.write",
                            "sys.stderr.write", "sys.stdout.buffer.write"):  # fmt: skip
                    actual.append(f"{file.relative_to(source)}:{node.lineno}: {call}")
    assert actual == []


def accord(arguments, **streams):
    return subprocess.run(
        [sys.executable, "-m", "accord", *arguments], text=True, check=False, timeout=300, **streams
    )


@pytest.mark.slow
def test_a_full_or_closed_standard_output_is_one_line():
    for arguments in (["--version"], ["--help"], ["methods"]):
        with Path("/dev/full").open("w") as full:
            done = accord(arguments, stdout=full, stderr=subprocess.PIPE)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
        assert "No space left on device" in done.stderr
    done = accord(["methods"], stderr=subprocess.PIPE, preexec_fn=lambda: os.close(1))
    assert done.returncode == 1
    assert done.stderr == "accord: standard output: can't be written: Bad file descriptor\n"


@pytest.mark.slow
def test_a_closed_or_full_standard_error_stream_stops_nothing(tmp_path):
    done = accord(["methods"], stdout=subprocess.PIPE, preexec_fn=lambda: os.close(2))
    assert done.returncode == 0
    assert "pcgrad" in done.stdout
    with Path("/dev/full").open("w") as full:
        done = accord(["check", tmp_path / "no.toml"], stdout=subprocess.PIPE, stderr=full)
    assert (done.returncode, done.stdout) == (2, "")


def test_the_version_of_a_tree_that_is_not_installed(monkeypatch, capfd):
    import importlib.metadata

    from accord.cli import main

    def version(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(sys, "argv", ["accord", "--version"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 0
    assert capfd.readouterr().out.startswith("accord, version unknown")
