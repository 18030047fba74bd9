"""Text files in the encodings that people have: read where named or marked, told where not."""

import codecs
import gzip
import random
from pathlib import Path

import pytest

from accord.data.encodings import guess_encoding
from accord.data.files import DataFiles
from accord.data.guessing import guess_tasks
from accord.data.reading import FilesReader
from accord.errors import DataError

WORDS = ["schöner", "Film", "für", "alle", "été", "déjà", "vu", "niño", "über", "the", "plot"]
MARKED = ["utf-8-sig", "utf-16", "utf-32"]
ENCODINGS = ["utf-8", "latin-1", "cp1252", "utf-16-le", "utf-16-be", *MARKED]


def rows(seed: int = 0) -> list[list[str]]:
    rng = random.Random(seed)
    return [[" ".join(rng.choices(WORDS, k=6)), rng.choice(["gut", "übel"])] for _ in range(30)]


def write(folder: Path, table: list[list[str]], encoding: str, name: str = "file.csv") -> Path:
    content = "\n".join(";".join(row) for row in [["text", "label"], *table]).encode(encoding)
    path = folder / name
    path.write_bytes(gzip.compress(content, mtime=0) if name.endswith(".gz") else content)
    return path


def read(path: Path, encoding: str | None) -> list[list[str]]:
    found = list(FilesReader(DataFiles((path,), encoding=encoding)).rows(["text", "label"]))
    assert [row.fault for row in found if row.fault] == []
    return [list(row.values.values()) for row in found]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_file_in_its_encoding_comes_back_as_written(tmp_path, encoding):
    table = rows()
    for name in ("file.csv", "file.csv.gz"):
        path = write(tmp_path, table, encoding, name)
        assert read(path, encoding) == table
        if encoding in MARKED:
            assert read(path, None) == read(path, "cp1252") == table


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_init_names_the_encoding_where_it_has_to_be(tmp_path, encoding):
    table = rows()
    for name in ("train.csv", "train.csv.gz"):
        (task,) = guess_tasks([write(tmp_path, table, encoding, name)])
        assert read(task.files["train"][0], task.file_encoding) == table
        assert set(task.labels) == {"gut", "übel"}
        named = {"latin-1": "cp1252"}.get(encoding, encoding)
        assert task.file_encoding == (None if encoding in ("utf-8", *MARKED) else named)


def test_what_can_not_be_told_is_refused(tmp_path):
    table = [["хороший фильм про кота", "да"], ["плохой фильм", "нет"]] * 9
    with pytest.raises(DataError, match=r"train\.csv: not UTF-8, nor can its encoding be told"):
        guess_tasks([write(tmp_path, table, "cp1251", "train.csv")])
    first = write(tmp_path, rows(), "cp1252", "train.csv")
    second = write(tmp_path, rows(1), "utf-8", "dev.csv")
    with pytest.raises(DataError, match=r"utf-8, but .* in cp1252"):
        guess_tasks([first, second])


def test_single_damaged_rows_do_not_change_the_encoding(tmp_path):
    path = write(tmp_path, rows(), "utf-8")
    path.write_bytes(path.read_bytes() + b"\nn\xef film;gut\n")
    assert guess_encoding(path) == "utf-8"
    found = list(FilesReader(DataFiles((path,))).rows(["text"]))
    assert [row.fault for row in found if row.fault] == [
        'not valid UTF-8 (perhaps file_encoding = "cp1252")'
    ]


def test_a_file_that_is_not_in_the_named_encoding(tmp_path):
    path = tmp_path / "file.csv"
    path.write_bytes(codecs.BOM_UTF16_LE + "text;label\na;b\n".encode("utf-16-le") + b"\0\xd8a\0")
    with pytest.raises(DataError, match=r"file\.csv:\d+: not valid utf-16"):
        read(path, None)
    path.write_bytes(b"text;label\na\xff;b\n")
    (row,) = FilesReader(DataFiles((path,), encoding="ascii")).rows(["text"])
    assert row.fault == "not valid ascii"


def test_a_guess_goes_by_lines_wherever_blocks_of_the_file_end(tmp_path):
    """Beside a reading of the whole file: of damaged UTF-8 one good line tells it."""
    rng, path = random.Random(0), tmp_path / "file.csv"
    pieces = ["plain", "schöner Film".encode(), "schöner Film".encode("cp1252"), "x" * 70_000]
    seen = set()
    for _ in range(60):
        chosen = rng.choices(pieces, k=rng.randint(1, 4))
        lines = [own if isinstance(own, bytes) else own.encode() for own in chosen]
        lines = [rng.choice([b"", b"y" * 65_530, b"ok "]) + line for line in lines]
        path.write_bytes(b"text\n" + b"\n".join(lines))
        odd = [line for line in lines if not line.isascii()]
        good = [line for line in odd if b"\xc3" in line]
        expected = "ascii" if not odd else "utf-8" if good else "cp1252"
        assert guess_encoding(path) == expected
        seen.add(expected)
    assert seen == {"ascii", "utf-8", "cp1252"}
