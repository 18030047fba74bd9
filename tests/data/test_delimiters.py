"""What separates the columns is found from the header and the rows, and never guessed wrong."""

import random
from itertools import permutations
from pathlib import Path

import pytest

from accord.data.delimiters import CHARACTERS
from accord.data.files import DataFiles
from accord.data.reading import FilesReader
from accord.errors import DataError


def reader(folder: Path, content: str, **options) -> FilesReader:
    path = folder / "file.csv"
    path.write_text(content, encoding="utf-8")
    return FilesReader(DataFiles((path,), **options))


def prose(rng: random.Random, marks: list[str]) -> str:
    return " ".join(word + rng.choice(["", *marks]) for word in ("so", "it", "is")) + " then"


@pytest.mark.parametrize("delimiter", CHARACTERS)
def test_prose_does_not_hide_the_delimiter(tmp_path, delimiter):
    rng, character = random.Random(delimiter), CHARACTERS[delimiter]
    others = [mark for mark in ",;|" if mark != character]
    for marks in (others, others[:1], []):
        for header in (["text", "label"], ["the text, as written", "stars"], ["a", "b", "c"]):
            if character == "," and "," in header[0]:
                continue
            rows = [[prose(rng, marks) for _ in header] for _ in range(20)]
            content = "\n".join(character.join(row) for row in [header, *rows])
            read = reader(tmp_path, content)
            assert read.columns == tuple(header)
            assert [[*row.values.values()] for row in read.rows(header)] == rows
            assert reader(tmp_path, content, delimiter=delimiter).columns == tuple(header)
            declared = reader(tmp_path, f"sep={character}\n{content}")
            assert declared.columns == tuple(header)
            assert [row.line for row in declared.rows(header)] == list(range(3, 23))


def test_a_header_that_is_separated_otherwise_is_named(tmp_path):
    for one, other in permutations(CHARACTERS, 2):
        rows = "".join(f"word{CHARACTERS[other]}{i}\n" for i in range(5))
        content = f"text{CHARACTERS[one]}label\n{rows}"
        with pytest.raises(DataError, match=rf"csv:1: the header line .* {one}s, .* by {other}s"):
            reader(tmp_path, content)


def test_two_that_separate_alike_are_not_guessed(tmp_path):
    content = "text,a;label\n" + "".join(f"word,b{i};{i}\n" for i in range(5))
    with pytest.raises(DataError, match=r"csv:1: commas and semicolons separate the columns alike"):
        reader(tmp_path, content)
    assert reader(tmp_path, content, delimiter="semicolon").columns == ("text,a", "label")


def test_a_wrong_delimiter_is_told(tmp_path):
    read = reader(tmp_path, "text;label\na;b\n", delimiter="comma")
    with pytest.raises(DataError, match=r"no column .text.*; perhaps delimiter = .semicolon"):
        list(read.rows(["text"]))
    with pytest.raises(DataError, match=r"csv:1: names '\^' as what separates columns; allowed"):
        reader(tmp_path, "sep=^\ntext^label\n")
