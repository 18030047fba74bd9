"""Labels, columns and files whose names a stranger chose: what is printed stays printable."""

import csv
import os
import unicodedata

import pytest

COLUMNS = ["id", "te\x1b[31mxt\n2", "lab\u202eel"]
LABELS = ["a\nb", "\x1b[31mred\x1b[0m", "\u202eevil", "tab\tx\x00"[:5], "日本"]


@pytest.fixture
def strange(tmp_path, encoder_folder):
    """A folder and a file of strange names, with what `init` makes of it."""
    folder = tmp_path / "da\x1b[2Jta\n\u202e"
    folder.mkdir()
    file = folder / "tr\nain.csv"
    with file.open("w", newline="") as stream:
        rows = [[f"i{i}", f"a film as grim as {i % 7}", LABELS[i % 5]] for i in range(40)]
        csv.writer(stream).writerows([COLUMNS, *rows])
    return file, folder / "accord.toml", encoder_folder


def printed(answer):
    """All that a command printed is plain lines."""
    text = answer.out + answer.err
    for line in text.split("\n"):
        assert all(c.isprintable() or unicodedata.category(c) == "Zs" for c in line), line
    return text


@pytest.mark.filterwarnings(r"ignore:[\s\S]*hold line ends")
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_commands_print_plain_lines(strange, accord_cli, tmp_path, monkeypatch, encoding):
    import sys

    if encoding == "ascii":  # as of a terminal without other signs
        sys.stdout.reconfigure(encoding="ascii")
        sys.stderr.reconfigure(encoding="ascii")
    file, config, encoder = strange
    run = tmp_path / "r\x1bun"

    def call(*arguments):
        answer = accord_cli(*arguments)
        text = printed(answer)
        assert encoding == "utf-8" or text.isascii()
        return answer

    try:
        answer = call("init", file, "--encoder", encoder, "-o", config)
        assert answer.code == 0
        assert r"te\x1b[31mxt\n2" in answer.out
        assert call("check", config).code == 0
        assert call("train", config, "--out", run, "--set", "training.epochs=1").code == 0
        assert call("evaluate", run).code == 0
        assert call("predict", run, "--input", file, "--output", tmp_path / "o\x1but.csv").code == 0
        refused = call("predict", run, "--input", file, "--output", tmp_path / "no\n" / "x.csv")
        assert (refused.code, refused.err.count("\n")) == (2, 1)
        refused = call("predict", run, "--input", file, "--output", "-", "--text", "\x1b\n")
        assert (refused.code, refused.err.count("\n")) == (2, 1)
        assert call("check", config, "--set", "tasks.\x1bx.train=1").code == 2
        assert call("tr\x1bain").code == 2
    finally:
        sys.stdout.reconfigure(encoding="utf-8")
        sys.stderr.reconfigure(encoding="utf-8")
    with (tmp_path / "o\x1but.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    column = [*rows[0]][len(COLUMNS)]  # the input's columns, and the one task's answers
    assert {row[column] for row in rows} <= set(LABELS)
    for line in (run / "log.txt").read_text(encoding="utf-8").split("\n"):
        assert all(c.isprintable() for c in line)


def test_names_that_are_no_utf_8(strange, accord_cli, tmp_path):
    file, config, encoder = strange
    odd = tmp_path / os.fsdecode(b"caf\xe9.csv")
    odd.write_bytes(file.read_bytes())
    answer = accord_cli("init", odd, "--encoder", encoder, "-o", tmp_path / "a.toml")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "is not UTF-8" in answer.err
    assert not (tmp_path / "a.toml").exists()
    assert accord_cli("init", file, "--encoder", encoder, "-o", config).code == 0
    answer = accord_cli("train", config, "--out", tmp_path / os.fsdecode(b"r\xff"))
    assert (answer.code, answer.err) == (
        2, f"accord: {tmp_path}/r\\udcff: can't be made: its name is not UTF-8\n"
    )  # fmt: skip
    answer = accord_cli("train", config, "--out", tmp_path / ("r" * 300))
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "File name too long" in answer.err


def test_init_on_a_full_disk_leaves_nothing(strange, accord_cli, tmp_path, monkeypatch):
    file, _, encoder = strange
    monkeypatch.setenv("ACCORD_FAULT", "full@1")
    (tmp_path / "new").mkdir()
    answer = accord_cli("init", file, "--encoder", encoder, "-o", tmp_path / "new" / "a.toml")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "No space left" in answer.err
    assert list((tmp_path / "new").iterdir()) == []
