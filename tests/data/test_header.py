"""A first line that is data, where it should name the columns."""

from pathlib import Path

import pytest

from accord.data.files import DataFiles
from accord.data.guessing import guess_tasks
from accord.data.reading import FilesReader
from accord.errors import DataError

TEXTS = ["what a fine film", "a dull long film.", "I liked it a lot", "not for me at all"] * 5
LABELS = ["up", "down"] * 10


def write(folder: Path, *columns: list[str], header: str = "") -> Path:
    path = folder / "train.tsv"
    lines = [header] * bool(header) + ["\t".join(row) for row in zip(*columns, strict=True)]
    path.write_text("\n".join(lines) + "\n")
    return path


def notes(path: Path, use: list[str]) -> list[str]:
    reader = FilesReader(DataFiles((path,)))
    assert list(reader.rows(use))
    return [note.what for note in reader.notes]


NUMBERS = [str(i % 5) for i in range(20)]
DECIMALS = [f"{i / 7:.2f}" for i in range(20)]


@pytest.mark.parametrize("columns", [
    (TEXTS, LABELS), (LABELS, TEXTS), (TEXTS, NUMBERS), (NUMBERS, TEXTS), (TEXTS, DECIMALS),
    (TEXTS, TEXTS[::-1], LABELS), ([f"r{i}" for i in range(20)], TEXTS, LABELS),
])  # fmt: skip
def test_a_file_without_a_header_is_refused_by_init_and_said_by_readers(tmp_path, columns):
    path = write(tmp_path, *columns)
    with pytest.raises(DataError, match=r"tsv:1: the first line looks like data.*add a line"):
        guess_tasks([path])
    (note,) = notes(path, [own[0] for own in columns])
    assert note.startswith("the first line looks like data")
    with pytest.raises(DataError, match=r"no column 'text'.*first line looks like data"):
        list(FilesReader(DataFiles((path,))).rows(["text"]))


@pytest.mark.parametrize("header", [
    "text\tlabel", "review text\tup or down", "0\t1", "Text of it\ty", "q1\tscore 2",
])  # fmt: skip
def test_headers_are_taken_for_headers(tmp_path, header):
    path = write(tmp_path, TEXTS, LABELS, header=header)
    assert notes(path, header.split("\t")) == []
    (task,) = guess_tasks([path])
    assert not any("looks like data" in reason for reason in task.reasons)


def test_a_header_within_the_file_is_no_sign(tmp_path):
    path = write(tmp_path, [*TEXTS, "text", *TEXTS], [*LABELS, "label", *LABELS],
                 header="text\tlabel")  # fmt: skip
    assert notes(path, ["text", "label"]) == []


def test_a_question_for_a_header_is_doubted_alone(tmp_path):
    path = write(tmp_path, TEXTS, LABELS, header="How did you like the film\tanswer")
    (task,) = guess_tasks([path])
    assert any("perhaps the first line looks like data" in reason for reason in task.reasons)
    assert "is a sentence" in notes(path, ["How did you like the film"])[0]


def test_decimal_commas_are_named(tmp_path):
    values = [f"{i % 7},5" for i in range(20)]
    path = write(tmp_path, TEXTS, values, header="text\tscore")
    with pytest.raises(DataError, match=r"'score' holds numbers with a decimal comma, as '0,5'"):
        guess_tasks([path])
