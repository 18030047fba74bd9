import csv
import gzip
import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.data.delimiters import CHARACTERS
from accord.data.files import DataFiles
from accord.data.reading import FilesReader
from accord.data.rows import Row
from accord.errors import DataError

NO_SURROGATES_OR_NUL = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
CELLS = st.text(NO_SURROGATES_OR_NUL, max_size=20)
TABLES = st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=8)
NAMES = ["one", "two", "three"]


def write(folder: Path, content: str | bytes, name: str = "file.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def opened(path: Path, **options) -> FilesReader:
    return FilesReader(DataFiles((path,), **options))


def read_rows(path: Path, use: list[str] | None = None, **options) -> list[Row]:
    reader = opened(path, **options)
    return list(reader.rows([name for name in reader.columns if name] if use is None else use))


def good(path: Path, **options) -> list[tuple[str, ...]]:
    rows = read_rows(path, **options)
    assert [row.fault for row in rows if row.fault] == []
    return [tuple(row.values.values()) for row in rows]


def faults(path: Path, **options) -> list[tuple[int, str]]:
    return [(row.line, row.fault) for row in read_rows(path, **options) if row.fault]


@given(
    TABLES,
    st.sampled_from([*CHARACTERS]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
)
def test_delimited_files_come_back_as_written(table, delimiter, line_end, mark):
    text = io.StringIO(newline="")
    writer = csv.writer(
        text, delimiter=CHARACTERS[delimiter], lineterminator=line_end, quoting=csv.QUOTE_ALL
    )
    writer.writerows([NAMES, *table])
    with TemporaryDirectory() as folder:
        content = ("\ufeff" if mark else "") + text.getvalue()
        path = write(Path(folder), content)
        assert good(path, use=NAMES, delimiter=delimiter, quoting="csv") == table


@given(TABLES)
def test_json_lines_come_back_as_written(table):
    lines = [json.dumps(dict(zip(NAMES, row, strict=True))) for row in [("", "", ""), *table]]
    with TemporaryDirectory() as folder:
        path = write(Path(folder), "\n".join(lines), "file.jsonl")
        assert good(path, use=NAMES)[1:] == table


@given(TABLES)
def test_parquet_comes_back_as_written(table):
    columns = {name: [row[i] for row in table] for i, name in enumerate(NAMES)}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "file.parquet"
        schema = pa.schema([(name, pa.string()) for name in NAMES])
        pq.write_table(pa.table(columns, schema=schema), path, row_group_size=3)
        assert good(path, use=NAMES) == table


def test_no_value_changes_its_type(tmp_path):
    values = ["0123", "NA", "null", "None", "1e5", "true", "1.10"]
    text = "text\tx\n" + "".join(f"{value}\t1\n" for value in values)
    assert [row[0] for row in good(write(tmp_path, text))] == values
    lines = '{"text": 1.10, "b": null}\n{"text": true, "b": 12345678901234567890}\n'
    path = write(tmp_path, lines, "file.jsonl")
    assert good(path) == [("1.10", ""), ("true", "12345678901234567890")]


def test_unused_columns_may_be_empty_or_stand_twice(tmp_path):
    path = write(tmp_path, "\t\tx\tx\ttext\n1\t2\t3\t4\thello\n")
    assert opened(path).columns == ("", "", "x", "x", "text")
    assert good(path, use=["text"]) == [("hello",)]
    with pytest.raises(DataError, match=r"file\.csv:1: column 'x' stands in the header more"):
        read_rows(path, ["x"])


def test_a_missing_column_names_the_nearest(tmp_path):
    path = write(tmp_path, "id,sentence\n1,a\n")
    with pytest.raises(DataError, match=r"file\.csv: no column 'sentense'; did you mean 'sent"):
        read_rows(path, ["sentense"])
    with pytest.raises(DataError, match="no column 'zzz'; allowed: id, sentence"):
        read_rows(path, ["zzz"])


def test_a_wrong_number_of_columns_is_the_rows_fault_alone(tmp_path):
    path = write(tmp_path, "a,b\n1,2\n3\n4,5,6\n\n7,8\n")
    assert faults(path) == [
        (3, "1 column where the header has 2"),
        (4, "3 columns where the header has 2"),
    ]
    assert [row.line for row in read_rows(path)] == [2, 3, 4, 6]


def test_a_row_of_several_lines_has_the_number_of_its_first(tmp_path):
    path = write(tmp_path, 'a,b\n"one\ntwo\nthree",1\nfour,2\n"five\nsix"\nseven,3\n')
    assert [(row.line, row.fault is None) for row in read_rows(path)] == [
        (2, True), (5, True), (6, False), (8, True),
    ]  # fmt: skip
    assert "lines 6 to 7 one row" in faults(path)[0][1]


@pytest.mark.parametrize("last", ['he said "no"\t0', "plain\t0"])
def test_a_stray_quote_costs_its_own_line_only(tmp_path, last):
    path = write(tmp_path, f'text\ty\ngood\t1\n"open\t1\nnext\t0\n{last}\n')
    rows = read_rows(path)
    assert [(row.line, row.fault is None) for row in rows] == [
        (2, True), (3, False), (4, True), (5, True),
    ]  # fmt: skip
    assert 'quoting = "none"' in rows[1].fault
    assert good(path, quoting="none")[1] == ('"open', "1")


def test_bytes_that_are_no_utf8_are_the_rows_fault(tmp_path):
    path = write(tmp_path, b"text,y\ncaf\xe9,1\nfine,0\n")
    reason = 'not valid UTF-8 (perhaps file_encoding = "cp1252")'
    assert faults(path) == [(2, reason)]
    assert faults(write(tmp_path, b'{"a": "caf\xe9"}\n{"a": "b"}\n', "f.jsonl")) == [(1, reason)]
    assert faults(write(tmp_path, b"text,y\ncaf\x81\x9d\x02,1\n")) == [(2, "not valid UTF-8")]


def test_nul_in_a_row_is_its_fault(tmp_path):
    assert faults(write(tmp_path, "a,b\nx\0,1\ny,2\n")) == [(2, "holds a NUL byte")]


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("", "f.csv", "the file is empty"),
        (" \n \n", "f.csv", "the file is empty"),
        ("text,y\n".encode("utf-16-le"), "f.csv", ":1: NUL bytes"),
        (b"\x1f\x8b\x08\x00", "f.csv.gz", "gzip"),
        (gzip.compress(b"text,y\na,1\n" * 99, mtime=0)[:-12], "f.csv.gz", "gzip"),
        (b"PK\x03\x04" + bytes(99), "f.xlsx", "save it as CSV"),
        (b"PK\x03\x04" + bytes(99), "f.zip", "unpack it"),
        (b"ARROW1\0\0", "f.arrow", "to_parquet"),
        ("\t\t\na\tb\tc\n", "f.csv", ":1: no header line"),
        ("\na,b\n", "f.csv", ":1: no header line"),
        (b"caf\xe9,b\n", "f.csv", ":1: the header line is not valid UTF-8"),
        ('"a,b\n1,2\n', "f.csv", ":1: the header line can't be read: a quote is never closed"),
        ("[1, 2]", "f.json", ":1: not a JSON object"),
        ('[{"a": 1}\n{"a": 2}]', "f.json", ":2: not valid JSON: no ',' or ']'"),
        ('[{"a": 1},\n{"a": 2}', "f.json", ":2: not valid JSON"),
        ('[{"a": 1},\n{"a": }]', "f.json", ":2: not valid JSON"),
        ('[{"a": 1, "a": 2}]', "f.json", ":1: key 'a' stands in the object twice"),
        ('[{"a": ' + "[" * 100_000, "f.json", ":1: not usable JSON: nested too deeply"),
        ("1\n2\n", "f.jsonl", ":1: not a JSON object"),
        (b"PAR1 nonsense", "f.parquet", "not a readable Parquet file"),
        ("a,b\n", "f.parquet", "not a readable Parquet file"),
    ],
)
def test_a_file_that_can_not_be_used_is_one_clear_line(tmp_path, content, name, message):
    path = write(tmp_path, content, name)
    with pytest.raises(DataError) as caught:
        read_rows(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        opened(tmp_path / "none.csv")
    with pytest.raises(DataError, match="a folder"):
        opened(tmp_path)


def test_header_only_has_no_rows(tmp_path):
    assert read_rows(write(tmp_path, "a\tb\n")) == []


def test_a_megabyte_in_one_field(tmp_path):
    text = "word " * 200_000
    assert good(write(tmp_path, f"text,y\n{text},1\n")) == [(text, "1")]


def test_the_delimiter_can_be_given(tmp_path):
    path = write(tmp_path, "a\tb,c\n1\t2,3\n")
    assert opened(path).columns == ("a", "b,c")
    assert opened(path, delimiter="comma").columns == ("a\tb", "c")


def test_one_column_may_hold_commas_but_not_in_csv(tmp_path):
    assert good(write(tmp_path, "text\nwell, yes\n", "f.txt")) == [("well, yes",)]
    assert good(write(tmp_path, 'text\n"well, yes"\n', "f.csv")) == [("well, yes",)]


def test_faults_of_json_rows(tmp_path):
    lines = [
        '{"a": "x", "n": 1}',
        "not json",
        '["a"]',
        '{"n": 1}',
        '{"a": {"b": "x"}}',
        r'{"a": "\ud800"}',
        '{"a": "x", "a": "y"}',
        '{"a": ' * 100_000,
        '"text"',
    ]
    found = faults(write(tmp_path, "\n".join(lines), "f.jsonl"), use=["a"])
    assert [line for line, _ in found] == [2, 3, 5, 6, 7, 8, 9]
    reasons = "\n".join(reason for _, reason in found)
    for words in ("not valid JSON", "not a JSON object", "holds an object",
                  "lone surrogate", "stands in the object twice", "nested too deeply"):  # fmt: skip
        assert words in reasons


def test_json_lines_are_known_by_their_content(tmp_path):
    assert good(write(tmp_path, '{"a": "x"}\n', "f.txt")) == [("x",)]


def test_parquet_values(tmp_path):
    path = tmp_path / "f.parquet"
    columns = {"s": ["x", None], "i": [1, 2], "f": [0.5, float("nan")], "b": [True, False]}
    pq.write_table(pa.table({**columns, "l": [["x"], ["y"]]}), path)
    assert good(path, use=["s", "i", "f", "b"]) == [
        ("x", "1", "0.5", "true"), ("", "2", "", "false"),
    ]  # fmt: skip
    assert good(path, use=["l"]) == [('["x"]',), ('["y"]',)]
