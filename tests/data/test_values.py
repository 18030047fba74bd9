"""One value is one text, and one label, in whatever format it stands."""

import csv
import json
import math
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planned import planned

from accord.data.examples import BadRow, Example, read_examples, read_labels
from accord.data.files import DataFiles
from accord.data.reading import FilesReader, Row
from accord.data.resolving import resolve_task
from accord.data.values import spelt_number, value_text
from accord.spelling import canonical_label


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""), (math.nan, ""), (np.float32("nan"), ""),
        (True, "true"), (False, "false"),
        (3, "3"), (2**63 + 1, "9223372036854775809"),
        (3.0, "3"), (0.1, "0.1"), (np.float32(0.1), "0.1"), (np.float16(0.1), "0.1"),
        (1e16, "10000000000000000"), (1e-7, "0.0000001"),
        (Decimal("1.50"), "1.50"), (Decimal("1E+2"), "100"), (Decimal("0E-3"), "0.000"),
        (b"caf\xc3\xa9", "café"), (date(2020, 1, 2), "2020-01-02"),
        (datetime(2020, 1, 2, 3), "2020-01-02 03:00:00"),
    ],
)  # fmt: skip
def test_texts_of_values(value, text):
    assert value_text(value, "y") == text


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (math.inf, "infinite"), (-math.inf, "infinite"), ([1], "a list"), ({"a": 1}, "an object"),
        (b"\xff", "not valid UTF-8"), ("\ud800", "half a character"), (1j, "a complex"),
    ],
)  # fmt: skip
def test_what_is_no_text_says_so_of_its_column(value, words):
    with pytest.raises(ValueError, match=rf"^'y' .*{words}"):
        value_text(value, "y")


@given(st.integers(-(10**20), 10**20), st.integers(-30, 30), st.sampled_from("eE"))
def test_a_number_written_out_is_the_number(digits, exponent, letter):
    spelling = f"{digits}{letter}{exponent}"
    written = spelt_number(spelling)
    assert Decimal(written) == Decimal(spelling)
    assert "e" not in written.lower()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_one_text_in_json_and_parquet(number):
    assert float(value_text(number, "y")) == number
    json_text, typed = spelt_number(repr(number)), value_text(number, "y")
    assert canonical_label(json_text) == canonical_label(typed) == canonical_label(repr(number))


@pytest.mark.parametrize(
    ("spelling", "written"), [("0e999999999", "0"), ("1e-999999999", "1e-999999999"),
                              ("1e" + "9" * 30, "1e" + "9" * 30)]
)  # fmt: skip
def test_no_exponent_fills_the_memory(spelling, written):
    assert spelt_number(spelling) == written


def render(path: Path, values: list) -> Path:
    """Write labels, None or NaN where there is none, as a program does that knows their type."""
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerows([["text", "y"], *(["a", value] for value in values)])
    elif path.suffix == ".jsonl":
        lines = [json.dumps({"text": "a", "y": value}) for value in values]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    else:
        pq.write_table(pa.table({"text": ["a"] * len(values), "y": values}), path)
    return path


COLUMNS = {
    # What is written, and what the label is by hand; a column of integers with gaps has floats.
    "booleans": (st.booleans(), lambda value: "true" if value else "false"),
    "integers": (st.integers(-(2**63), 2**63 - 1), str),
    "floats": (st.integers(-(10**30), 10**30).map(float), lambda value: f"{value:.0f}"),
    "names": (st.text("abXYZé情 -+", max_size=5), str.strip),
}


def rows_of(path: Path) -> list[Row]:
    reader = FilesReader(DataFiles((path,)))
    return list(reader.rows(reader.columns))


@pytest.mark.quick("booleans", "names")
@pytest.mark.parametrize("name", COLUMNS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_same_values_are_the_same_labels_in_every_format(tmp_path, name, data):
    values, by_hand = COLUMNS[name]
    column = data.draw(st.lists(st.none() | values, min_size=1, max_size=6))
    expected = [by_hand(value) for value in column if value is not None]
    gap = math.nan if name == "floats" else None
    for suffix, missing in (("csv", ""), ("jsonl", gap), ("parquet", gap)):
        path = tmp_path / f"file.{suffix}"
        render(path, [missing if value is None else value for value in column])
        section = planned(kind="classification", train=str(path), text="text", label="y")
        assert list(read_labels(DataFiles((path,)), section)) == list(filter(None, expected))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    targets=st.lists(st.floats(0, 5, width=32), min_size=2, max_size=8, unique=True),
    places=st.lists(st.integers(0, 8), max_size=4),
)
def test_missing_targets_neither_widen_the_range_nor_are_rows(tmp_path, targets, places):
    column = [np.float32(own).item() for own in targets]
    for place in places:
        column.insert(place, math.nan)
    for suffix in ("csv", "jsonl", "parquet"):
        path = render(tmp_path / f"file.{suffix}", column)
        keys = {"kind": "regression", "train": str(path), "text": "text", "label": "y"}
        section = planned(**keys, missing=[""])
        task = resolve_task("t", section)
        assert task.range == (min(targets), max(targets))
        read = list(read_examples(DataFiles((path,)), section, task, labelled=True))
        assert [own.label for own in read if isinstance(own, Example)] == targets
        again = read_examples(DataFiles((path,)), planned(**keys), task, labelled=True)
        bad = [own for own in again if isinstance(own, BadRow)]
        assert len(bad) == len(places)
        assert all(own.no_label == "" for own in bad)


def test_a_key_that_an_object_lacks_is_a_missing_label_but_no_text(tmp_path):
    path = tmp_path / "f.jsonl"
    rows = [{"text": "a", "y": "p"}, {"text": "a", "y": "q"}, {"text": "a"}, {"y": "p"}]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    section = planned(kind="classification", train=str(path), text="text", label="y", missing=[""])
    task = resolve_task("t", section)
    read = list(read_examples(DataFiles((path,)), section, task, labelled=True))
    assert [type(own).__name__ for own in read] == ["Example", "Example", "Unlabelled", "BadRow"]
    assert str(read[3]) == f"{path}:4: key 'text' is missing"
    unlabelled = list(read_examples(DataFiles((path,)), section, task, labelled=False))
    assert [isinstance(own, BadRow) for own in unlabelled] == [False, False, False, True]


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (pa.array([{"k": 1}]), "'y' holds an object"),
        (pa.array([["x", "\0"], [math.inf]][1:]), "'y' holds an infinite number"),
        (pa.array([[b"\xff"]]), "'y' is not valid UTF-8"),
        (pa.array([1], pa.duration("s")), "'y' holds a timedelta"),
        (pa.array([2**62], pa.timestamp("us")), "'y' can't be read"),
        (pa.array([b"\xff\xfe"]), "'y' is not valid UTF-8"),
        (pa.array([math.inf]), "'y' holds an infinite number"),
    ],
)
def test_parquet_values_that_are_none_name_row_and_column(tmp_path, column, words):
    path = tmp_path / "f.parquet"
    pq.write_table(pa.table({"y": column}), path)
    (row,) = rows_of(path)
    assert (row.line, row.values) == (1, None)
    assert row.fault.startswith(words)


def test_parquet_columns_of_all_kinds_of_type(tmp_path):
    path = tmp_path / "f.parquet"
    columns = {
        "dictionary": pa.array(["x"]).dictionary_encode(),
        "coded": pa.array([0.1], pa.float32()).dictionary_encode(),
        "decimal": pa.array([Decimal("1.50")]),
        "null": pa.nulls(1),
        "day": pa.array([date(2020, 1, 2)]),
        "bytes": pa.array([b"x"]),
        "wide": pa.array([2**64 - 1], pa.uint64()),
    }
    pq.write_table(pa.table(columns), path)
    (row,) = rows_of(path)
    assert list(row.values.values()) == [
        "x", "0.1", "1.50", "", "2020-01-02", "x", "18446744073709551615",
    ]  # fmt: skip


def test_infinity_and_nan_of_json(tmp_path):
    path = tmp_path / "f.jsonl"
    path.write_text('{"y": NaN}\n{"y": -Infinity}\n{"y": 1e0}\n{"y": 1.10}\n', encoding="utf-8")
    rows = rows_of(path)
    assert [row.values and row.values["y"] for row in rows] == ["", None, "1", "1.10"]
    assert "infinite" in rows[1].fault
