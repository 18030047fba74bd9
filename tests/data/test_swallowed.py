"""Quotes that were meant as text, and texts in quotes that have several lines."""

import csv
import io
import random
from pathlib import Path

import pytest

from accord.data.delimiters import CHARACTERS
from accord.data.files import DataFiles
from accord.data.reading import FilesReader

WORDS = ["film", "plot", "score", "warm", "dull", "'fine'", 'so "good"', "don't", "I", "saw"]
COUNT = 40


def prose(rng: random.Random, marks: str = "") -> str:
    words = [rng.choice(WORDS) + rng.choice(["", "", *marks]) for _ in range(rng.randint(4, 9))]
    return f"The {' '.join(words)}."


def reader(folder: Path, content: str, **options) -> FilesReader:
    path = folder / "file.csv"
    path.write_text(content, encoding="utf-8", newline="")
    return FilesReader(DataFiles((path,), **options))


def lines_of(rows: list[list[str]], delimiter: str, end: str = "\n") -> str:
    return end.join(delimiter.join(row) for row in rows) + end


def shapes(rng: random.Random, marks: str = "") -> list[tuple[list[str], list[list[str]], int]]:
    """Headers with their rows, and where in them the text stands."""
    labels = [rng.choice(["good", "bad", "so so"]) for _ in range(COUNT)]
    texts = [prose(rng, marks) for _ in range(COUNT)]
    numbers = [str(number) for number in range(COUNT)]
    return [
        (["text", "label"], [list(row) for row in zip(texts, labels, strict=True)], 0),
        (["label", "text"], [list(row) for row in zip(labels, texts, strict=True)], 1),
        (["id", "text", "label"],
         [list(row) for row in zip(numbers, texts, labels, strict=True)], 1),
    ]  # fmt: skip


@pytest.mark.parametrize("delimiter", CHARACTERS)
def test_a_stray_quote_costs_its_own_row_alone(tmp_path, delimiter):
    rng, character = random.Random(delimiter), CHARACTERS[delimiter]
    for end in ("\n", "\r\n", "\r"):
        for header, rows, text in shapes(rng):
            for first, last in ((0, COUNT - 1), (0, 1), (5, 12), (COUNT - 2, COUNT - 1)):
                given = [[value.replace('"', "'") for value in row] for row in rows]
                given[first][text] = '"' + given[first][text]
                given[last][text] += '"'
                content = lines_of([header, *given], character, end)
                found = list(reader(tmp_path, content).rows(header))
                faulty = [row for row in found if row.fault is not None]
                assert [row.line for row in faulty] == [first + 2], (header, first, last, end)
                assert f"lines {first + 2} to {last + 2} one row" in faulty[0].fault
                assert 'quoting = "none"' in faulty[0].fault
                good = [list(row.values.values()) for row in found if row.values]
                assert good == given[:first] + given[first + 1 :]
                for quoting, count in (("none", COUNT), ("csv", COUNT - (last - first))):
                    again = list(reader(tmp_path, content, quoting=quoting).rows(header))
                    assert (len(again), [row.fault for row in again if row.fault]) == (count, [])


@pytest.mark.parametrize("delimiter", CHARACTERS)
def test_several_stray_quotes_cost_their_own_rows(tmp_path, delimiter):
    rng, character = random.Random(delimiter), CHARACTERS[delimiter]
    for header, rows, text in shapes(rng):
        for quoted in ([3, 30], [0, COUNT - 1], [7, 8], list(range(0, COUNT, 3))):
            given = [list(row) for row in rows]
            for number in quoted:
                given[number][text] = '"' + given[number][text]
            found = list(reader(tmp_path, lines_of([header, *given], character)).rows(header))
            assert [row.line for row in found] == list(range(2, COUNT + 2))
            assert [row.line for row in found if row.fault] == [number + 2 for number in quoted]


JUNK = [
    '"',
    '""',
    '"""',
    '"so',
    'so"',
    '"so"',
    "so",
    "'tis",
    '"" so',
    'so ""',
    "“so”",
    '" so',
    'so "',
]


@pytest.mark.parametrize("delimiter", CHARACTERS)
def test_whatever_quotes_a_text_has_no_line_is_lost(tmp_path, delimiter):
    rng, character = random.Random(delimiter), CHARACTERS[delimiter]
    for header, rows, text in shapes(rng) * 20:
        given = [list(row) for row in rows]
        for row in given:
            if rng.random() < 0.5:
                row[text] = " ".join(rng.choices(JUNK, k=rng.randint(1, 4)))
        found = list(reader(tmp_path, lines_of([header, *given], character)).rows(header))
        assert [row.line for row in found] == list(range(2, COUNT + 2)), given


def test_prose_with_commas_is_no_row(tmp_path):
    for header in (["premise", "hypothesis"], ["text", "label"], ["label", "text"]):
        rows = [[f"{own} {i}" for own in header] for i in range(9)]
        for row in rows:
            row[-1 if header[-1] != "label" else 0] += "\nHello, world.\nwell, yes, so\nit is, yes"
        file = io.StringIO(newline="")
        csv.writer(file).writerows([header, *rows])
        found = list(reader(tmp_path, file.getvalue()).rows(header))
        assert [list(row.values.values()) for row in found] == rows


@pytest.mark.parametrize("delimiter", CHARACTERS)
def test_texts_of_several_lines_are_read_and_counted(tmp_path, delimiter):
    rng, character = random.Random(delimiter), CHARACTERS[delimiter]
    for end in ("\n", "\r\n"):
        for header, rows, text in shapes(rng, marks=f",{character.strip()}\n"):
            given = [list(row) for row in rows]
            for row in given[::4]:
                row[text] += f"{end}{prose(rng, ',;|')}{end}{end}{prose(rng, ',;|')}"
            file = io.StringIO(newline="")
            csv.writer(file, delimiter=character, lineterminator=end).writerows([header, *given])
            read = reader(tmp_path, file.getvalue())
            found = list(read.rows(header))
            assert [row.fault for row in found if row.fault] == []
            assert [list(row.values.values()) for row in found] == given
            lines = file.getvalue().count("\n") - 1
            (note,) = read.notes
            assert note.what.startswith(f"{lines} lines below the header are {COUNT} rows: ")


def test_blank_lines_are_counted_and_one_line_a_row_is_no_news(tmp_path):
    read = reader(tmp_path, "text,label\na b,x\n\n\nc d,y\n")
    assert len(list(read.rows(["text"]))) == 2
    assert [note.what for note in read.notes] == [
        "4 lines below the header are 2 rows: 2 of them blank"
    ]
    read = reader(tmp_path, "text,label\na b,x\nc d,y\n")
    assert len(list(read.rows(["text"]))) == 2
    assert read.notes == []


def test_a_carriage_return_inside_a_field_is_no_row(tmp_path):
    found = list(reader(tmp_path, "text\tlabel\none\rtwo\t1\nthree\t0\n").rows(["text"]))
    assert [(row.line, row.fault) for row in found] == [
        (2, "a carriage return inside a field that isn't quoted"), (3, None),
    ]  # fmt: skip


def test_a_quote_that_is_never_closed_takes_bounded_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("accord.data.records.FIELD_CHARACTERS", 2**10)
    limit = csv.field_size_limit(2**10)
    try:
        rows = "".join(f"row {i}\t1\n" for i in range(1_000))
        found = list(reader(tmp_path, f'text\tlabel\n"open\t1\n{rows}').rows(["text"]))
    finally:
        csv.field_size_limit(limit)
    assert len(found) == 1_001
    assert [row.line for row in found if row.fault] == [2]
    assert "a field of more than 1,024 characters" in found[0].fault
