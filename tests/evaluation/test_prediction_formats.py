"""Every format, read back by another reader and by Accord's."""

import csv
import io
import json
import random
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.data.files import DataFiles
from accord.data.reading import FilesReader
from accord.data.values import Scalar
from accord.evaluation.carried import Carried, carried
from accord.evaluation.prediction_formats import Share, Table, write_table

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
TYPES = {"key": pyarrow.string(), "answer": pyarrow.string(), "share": pyarrow.float64(),
         "listed": pyarrow.list_(pyarrow.string())}  # fmt: skip
COLUMNS = [(name, 0) for name in TYPES]
TABLE = Table(COLUMNS, dict(zip(COLUMNS, TYPES.values(), strict=True)))


def written(form, batches, table=TABLE):
    file = io.BytesIO()
    write_table(file, form, table, iter(batches))
    return file.getvalue()


def records(form, data):
    """Read a file's rows by other readers than Accord's."""
    if form == "parquet":
        return pyarrow.parquet.read_table(io.BytesIO(data)).to_pylist()
    if form in ("json", "jsonl"):
        lines = data.decode().removesuffix("\n").split("\n")
        return json.loads(data) if form == "json" else [json.loads(line) for line in lines]
    separator = "\t" if form == "tsv" else ","
    return [*csv.DictReader(io.StringIO(data.decode(), newline=""), delimiter=separator)]


ROWS = st.tuples(TEXTS, TEXTS, st.floats(0, 1), st.lists(TEXTS, max_size=3), st.booleans())


@given(st.lists(st.lists(ROWS, min_size=1, max_size=4), min_size=1))
def test_rows_come_back_from_every_format(drawn):
    """Cells of any characters, line ends included; rows with and without an answer."""
    batches = [
        [
            {("key", 0): key, ("answer", 0): None if bad else answer,
             ("share", 0): None if bad else Share(share), ("listed", 0): None if bad else listed}
            for key, answer, share, listed, bad in batch
        ]
        for batch in drawn
    ]  # fmt: skip
    flat = [{name: row[name, 0] for name in TYPES} for batch in batches for row in batch]
    for form in ("json", "jsonl", "parquet"):
        assert records(form, written(form, batches)) == flat
    for form in ("csv", "tsv"):
        for read, row in zip(records(form, written(form, batches)), flat, strict=True):
            assert (read["key"], read["answer"]) == (row["key"], row["answer"] or "")
            share = float(read["share"]) if read["share"] else None
            assert share == pytest.approx(row["share"], abs=1e-6)
            assert (json.loads(read["listed"]) if read["listed"] else None) == row["listed"]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_numbers_come_back_from_every_format(values):
    table = Table([("near", 0)], {("near", 0): pyarrow.float64()})
    batches = [[{("near", 0): value}] for value in values]
    for form in ("csv", "tsv", "json", "jsonl", "parquet"):
        read = [row["near"] for row in records(form, written(form, batches, table))]
        assert [*map(float, read)] == values
        assert form in ("csv", "tsv") or all(isinstance(value, float) for value in read)


def test_safe_cells_are_texts_that_a_spreadsheet_would_execute():
    texts = ["=1+1", "+cmd|x", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "-3.5", "+1e3", "-", "a=b", ""]
    safe = [f"'{text}" if i < 6 or text == "-" else text for i, text in enumerate(texts)]
    batches = [[{("=x", 0): text, ("n", 0): Scalar("-7")} for text in texts]]
    for form in ("csv", "tsv"):
        for safe_cells, wanted in ((True, safe), (False, texts)):
            table = Table([("=x", 0), ("n", 0)], safe_cells=safe_cells)
            read = records(form, written(form, batches, table))
            assert [row["'=x" if safe_cells else "=x"] for row in read] == wanted
            assert {row["n"] for row in read} == {"-7"}


def carry(path, form, target):
    """Write a file's columns in another format, as they are carried over."""
    files, typed = DataFiles((path,)), form == "parquet"
    reader = FilesReader(files)
    rows = [carried(row.cells) for row in reader.rows([], "arrow" if typed else "values")]
    columns = Carried(typed)
    for row in rows:
        columns.note(row)
    table = Table(columns.columns, columns.types if typed else {}, reader.metadata if typed else {})
    target.write_bytes(written(form, [rows[:2], rows[2:]], table))
    return target


MOMENT = datetime(2024, 2, 29, 12, 30, 1, 5, UTC)
TYPED = {
    "text": ["a", None, "c, \n"], "flag": [True, None, False], "whole": [2**60 + 1, None, -1],
    "part": [0.1, float("nan"), float("inf")], "day": [date(2024, 2, 29), None, date(1, 1, 1)],
    "at": [MOMENT, None, MOMENT], "price": [Decimal("1.50"), None, Decimal("-2.25")],
    "words": [["a", "b"], None, []], "spans": [[{"start": 1, "label": "x"}], [], None],
}  # fmt: skip


def test_parquet_stays_as_it_is(tmp_path):
    narrow = {
        "small": pyarrow.array([1, None, 3], pyarrow.int8()),
        "half": pyarrow.array([0.1, None, 3], pyarrow.float32()),
        "coded": pyarrow.array(["x", None, "x"]).dictionary_encode(),
        "bytes": pyarrow.array([b"\xff\x00", None, b""], pyarrow.binary()),
        "ns": pyarrow.array([5, None, 6], pyarrow.timestamp("ns")),
    }
    table = pyarrow.table({**TYPED, **narrow}).replace_schema_metadata({"huggingface": "{}"})
    pyarrow.parquet.write_table(table, tmp_path / "in.parquet")
    out = carry(tmp_path / "in.parquet", "parquet", tmp_path / "out.parquet")
    before, after = (pyarrow.parquet.read_table(file) for file in (tmp_path / "in.parquet", out))
    assert after.schema.equals(before.schema, check_metadata=True), (before.schema, after.schema)
    assert str(after.to_pydict()) == str(before.to_pydict())


def test_typed_columns_keep_their_types_as_far_as_a_format_has_them(tmp_path):
    pyarrow.parquet.write_table(pyarrow.table(TYPED), tmp_path / "in.parquet")
    first, second, third = records("jsonl", carry(
        tmp_path / "in.parquet", "jsonl", tmp_path / "out.jsonl").read_bytes())  # fmt: skip
    assert first == {
        "text": "a", "flag": True, "whole": 2**60 + 1, "part": 0.1, "day": "2024-02-29",
        "at": str(MOMENT), "price": 1.5, "words": ["a", "b"],
        "spans": [{"start": 1, "label": "x"}],
    }  # fmt: skip
    assert (second["part"], second["words"], second["spans"]) == (None, None, [])
    assert (third["part"], third["price"], third["words"]) == (float("inf"), -2.25, [])
    back = carry(tmp_path / "out.jsonl", "parquet", tmp_path / "back.parquet")
    schema = pyarrow.parquet.read_schema(back)
    assert schema.field("whole").type == pyarrow.int64()
    assert schema.field("flag").type == pyarrow.bool_()
    assert schema.field("words").type == pyarrow.list_(pyarrow.string())
    read = pyarrow.parquet.read_table(back).to_pylist()
    assert [row["whole"] for row in read] == TYPED["whole"]
    assert [row["spans"] for row in read] == TYPED["spans"]
    cells = records("csv", carry(back, "csv", tmp_path / "out.csv").read_bytes())
    assert cells[0]["words"] == '["a", "b"]'
    assert (cells[0]["whole"], cells[2]["flag"], cells[1]["text"]) == (str(2**60 + 1), "false", "")


def values(rng, depth=0):
    """Return a random JSON value."""
    kinds = [
        lambda: rng.choice(["", "a", "é, x", "\n", "true", "1"]), lambda: rng.randint(-9, 10**15),
        lambda: rng.random() * 1e-7, lambda: rng.random() < 0.5, lambda: None,
        lambda: [values(rng, depth + 1) for _ in range(rng.randint(0, 3))],
        lambda: {key: values(rng, depth + 1) for key in rng.sample("abc", rng.randint(0, 3))},
    ]  # fmt: skip
    return rng.choice(kinds[: 5 if depth > 1 else 7])()


def test_any_json_comes_back_as_json_and_fits_parquet(tmp_path):
    """Columns of one kind of value and of several, keys that rows lack, lists and objects."""
    for seed in range(40):
        rng, path = random.Random(seed), tmp_path / f"{seed}.jsonl"
        rows = [{name: values(rng) for name in ("p", "q", "r", "s") if rng.random() < 0.8}
                for _ in range(5)]  # fmt: skip
        rows[0]["p"] = "first"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        assert records("json", carry(path, "json", tmp_path / "o.json").read_bytes()) == rows
        read = records("parquet", carry(path, "parquet", tmp_path / "o.parquet").read_bytes())
        for row, back in zip(rows, read, strict=True):
            for name, value in row.items():
                if isinstance(value, str):
                    assert back[name] == value
                elif isinstance(back[name], str):
                    assert json.loads(back[name]) == value
                elif not isinstance(value, dict | list):
                    assert back[name] == value
