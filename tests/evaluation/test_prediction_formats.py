"""Every format, read back by another reader."""

import csv
import io
import json
from typing import get_args

import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.errors import UsageError
from accord.evaluation.prediction_formats import Format, write_records
from accord.tasks import Task

MOOD = Task("mood", "classification", "cross_entropy", "accuracy", labels=("a, b", 'c"\t', "é\n"))
NEAR = Task("near", "regression", "mse", "pearson", range=(-1.0, 3.0))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def written(form, batches, task):
    file = io.BytesIO()
    write_records(file, form, iter(batches), task)
    return file.getvalue()


def table(form, data):
    """Read a table's head and rows, a null as the empty text."""
    if form == "parquet":
        found = pyarrow.parquet.read_table(io.BytesIO(data))
        rows = [["" if value is None else value for value in row.values()]
                for row in found.to_pylist()]  # fmt: skip
        return found.column_names, rows
    separator = "\t" if form == "tsv" else ","
    head, *rows = csv.reader(io.StringIO(data.decode(), newline=""), delimiter=separator)
    return head, rows


@given(st.lists(st.lists(st.tuples(TEXTS, st.booleans()), min_size=1, max_size=4), min_size=1))
def test_classes_come_back_from_every_format(rows):
    """Ids of any characters, line ends included; rows with and without an answer."""
    shares = dict(zip(MOOD.labels, (0.25, 0.125, 0.625), strict=True))
    answers = ({"prediction": MOOD.labels[2], "probabilities": shares, "error": None},
               {"prediction": None, "probabilities": None, "error": "line 3: bad"})  # fmt: skip
    batches = [[{"id": key, **answers[bad]} for key, bad in batch] for batch in rows]
    flat = [record for batch in batches for record in batch]

    assert json.loads(written("json", batches, MOOD)) == flat
    lines = written("jsonl", batches, MOOD).decode().removesuffix("\n").split("\n")
    assert [json.loads(line) for line in lines] == flat
    for form in ("csv", "tsv", "parquet"):
        head, found = table(form, written(form, batches, MOOD))
        assert head == ["id", "prediction", *(f"p({own})" for own in MOOD.labels), "error"]
        assert len(found) == len(flat)
        for row, record in zip(found, flat, strict=True):
            own = shares.values() if record["probabilities"] else [""] * 3
            assert [float(value or "nan") for value in row[2:5]] == pytest.approx(
                [float(value or "nan") for value in own], nan_ok=True
            )
            expected = [record[name] or "" for name in ("id", "prediction", "error")]
            assert [row[0], row[1], row[5]] == expected


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_values_come_back_from_every_format(values):
    batches = [[{"prediction": value}] for value in values]
    assert [own["prediction"] for own in json.loads(written("json", batches, NEAR))] == values
    for form in ("csv", "tsv", "parquet"):
        head, rows = table(form, written(form, batches, NEAR))
        assert head == ["prediction"]
        assert [float(value) for (value,) in rows] == values
        if form == "parquet":
            assert all(isinstance(value, float) for (value,) in rows)


def test_the_course_s_format_has_one_head():
    same = Task("same", "pair-classification", "mse", "accuracy", labels=("0", "1"))
    batches = [[{"id": "q1", "prediction": "1"}], [{"id": "q2", "prediction": "0"}]]
    expected = b"id \t Predicted_Is_Paraphrase \nq1 , 1 \nq2 , 0 \n"
    assert written("cs224n", batches, same) == expected
    with pytest.raises(UsageError, match="format cs224n: takes tasks of kind"):
        written("cs224n", [[{"id": "1", "prediction": 0.5}]], NEAR)


def test_every_format_has_a_writer():
    for form in get_args(Format):
        task = Task("t", "pair-regression", "mse", "pearson", range=(0.0, 1.0))
        assert written(form, [[{"id": "1", "prediction": 0.5}]], task)
