"""Rows in memory become files that hold the same, and what is no row is refused in one line."""

import datetime
import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from accord.data.files import DataFiles
from accord.data.in_memory import TAKES, is_rows, rows_file
from accord.data.reading import FilesReader
from accord.data.row_files import RowFiles, kept_rows, passing_rows
from accord.errors import ConfigError, DataError, TrainingError

ROWS = [{"text": "a fine film", "label": 1}, {"text": "ein öder\nFilm \u2028", "label": 0}]
NO_TEXT = np.float32("nan")


class Stream:
    """Stands in for a frame of any library: nothing but Arrow's C stream."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


class Features:
    def __init__(self, schema: pa.Schema) -> None:
        self.arrow_schema = schema


class Dataset:
    """Stands in for a `datasets.Dataset` whose rows were chosen by their indices."""

    def __init__(self, table: pa.Table, names: Mapping[str, list[str]], indices: list[int]) -> None:
        features = {name: {"_type": "ClassLabel", "names": each} for name, each in names.items()}
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
        self.features = Features(table.schema.with_metadata(metadata))
        self._table, self._indices = table, indices

    def __len__(self) -> int:
        return len(self._indices)

    def with_format(self, type: str) -> "Dataset":  # noqa: A002 - the library's own name
        assert type == "arrow"
        return self

    def __getitem__(self, rows: slice) -> pa.Table:
        return self._table.take(self._indices[rows])


def read(rows: Any, folder: Path, *columns: str) -> list[Any]:
    """What a task reads of rows, by way of their file."""
    path = RowFiles(folder).path_of(rows, "rows")
    return [row.values or row.fault for row in FilesReader(DataFiles((path,))).rows(columns)]


def table(**columns: Any) -> pa.Table:
    return pa.table(columns)


@pytest.mark.parametrize(
    "rows",
    [
        ROWS,
        tuple(ROWS),
        pa.Table.from_pylist(ROWS),
        pa.RecordBatch.from_pylist(ROWS),
        Stream(pa.Table.from_pylist(ROWS)),
        Dataset(pa.Table.from_pylist(ROWS[::-1]), {}, [1, 0]),
    ],
    ids=["list", "tuple", "table", "batch", "stream", "dataset"],
)
def test_rows_are_read_as_they_are(rows: Any, tmp_path: Path) -> None:
    assert read(rows, tmp_path, "text", "label") == [
        {"text": "a fine film", "label": "1"},
        {"text": "ein öder\nFilm \u2028", "label": "0"},
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"), (3, "3"), (3.0, "3"), (0.1, "0.1"), (10**30, "1" + "0" * 30), (None, ""),
        (float("nan"), ""), (Decimal("1.50"), "1.50"), (datetime.date(2024, 2, 3), "2024-02-03"),
        (b"bytes", "bytes"), (np.int64(7), "7"), (np.float32(0.1), "0.1"), (NO_TEXT, ""),
        (np.bool_(True), "true"), (np.str_("word"), "word"), (["a", 1], '["a", 1]'),
        (np.array([1, 0]), "[1, 0]"), (np.array([0.5], np.float32), "[0.5]"), (("a",), '["a"]'),
        (np.datetime64("2024-02-03"), "2024-02-03"), ('{"', '{"'),
    ],
    ids=str,
)  # fmt: skip
def test_a_value_is_spelt_as_in_any_file(value: Any, text: str, tmp_path: Path) -> None:
    assert read([{"y": value}], tmp_path, "y") == [{"y": text}]


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (float("inf"), "'y' holds an infinite number, which is no label and no text"),
        ("half \ud83d", "'y' holds half a character (a lone surrogate)"),
        ({"a": 1}, "'y' holds an object, not a text or a number"),
    ],
)
def test_a_value_that_files_may_hold_is_the_readers_to_judge(
    value: Any, fault: str, tmp_path: Path
) -> None:
    assert read([{"y": value}], tmp_path, "y") == [fault]


def test_rows_may_lack_keys_as_json_lines_may(tmp_path: Path) -> None:
    path = RowFiles(tmp_path).path_of([{"text": "a"}, {"label": 1, "text": "b"}], "rows")
    first, second = FilesReader(DataFiles((path,))).rows(["text", "label"])
    assert (first.values, first.absent) == ({"text": "a", "label": ""}, ("label",))
    assert (second.values, second.absent) == ({"text": "b", "label": "1"}, ())


def test_the_encoding_of_a_task_s_files_is_not_that_of_its_rows(tmp_path: Path) -> None:
    path = RowFiles(tmp_path).path_of(ROWS, "rows")
    reader = FilesReader(DataFiles((path,), encoding="utf-16-le"))
    assert [row.values for row in reader.rows(["label"])] == [{"label": "1"}, {"label": "0"}]


def test_a_dataset_s_classes_have_names(tmp_path: Path) -> None:
    dataset = Dataset(table(text=["a", "b", "c"], y=[0, 1, 2]), {"y": ["no", "so", "yes"]}, [2, 0])
    assert [row["y"] for row in read(dataset, tmp_path, "text", "y")] == ["yes", "no"]
    files = DataFiles((RowFiles(tmp_path).path_of(dataset, "rows"),))
    assert FilesReader(files).class_names("y") == ("no", "so", "yes")


def test_the_same_rows_are_the_same_file() -> None:
    again = [dict(row) for row in ROWS]
    assert rows_file(ROWS, "a") == rows_file(again, "b") != rows_file(ROWS[::-1], "a")
    whole = pa.Table.from_pylist(ROWS)
    in_parts = pa.concat_tables([whole.slice(0, 1), whole.slice(1)])
    noted = whole.replace_schema_metadata({"pandas": "version 1", "fingerprint": "x"})
    names = {rows_file(each, "a").name for each in (whole, in_parts, noted, Stream(whole))}
    assert len(names) == 1
    assert names.pop().endswith(".parquet")


def generated() -> Iterator[dict[str, str]]:
    yield {"text": "a"}


class Lazy:
    def collect(self) -> None: ...


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ([], "KEY: has no rows"),
        (table(text=pa.array([], pa.string())), "KEY: has no rows"),
        (generated(), "KEY: a generator can't be read twice: list(...) makes rows of it"),
        (Lazy(), "KEY: a Lazy holds no rows yet: collect() makes a frame of it"),
        (
            {"test": table(a=["b"]), "train": table(a=["c"])},
            'KEY: a dict holds several splits: name one of them, as dataset["train"]; ' + TAKES,
        ),
        (
            {"text": ["a"], "label": [1]},
            "KEY: a dict is one mapping; of columns pandas.DataFrame(...) makes rows; " + TAKES,
        ),
        ({1, 2}, f"KEY: {TAKES}, got a set"),
        (pa.chunked_array([["a"]]), f"KEY: a ChunkedArray is one column, not rows; {TAKES}"),
        (
            pa.table([["a"], ["b"]], names=["text", "text"]),
            "KEY: two columns are named 'text'",
        ),
        (
            [*ROWS, "a.csv"],
            "row 2 of KEY: takes a mapping of column names to values, got 'a.csv'",
        ),
        (np.zeros((1, 2)), "row 0 of KEY: takes a mapping of column names to values, got array"),
        ([{3: "a"}], "row 0 of KEY: a column's name should be a text, got 3"),
        (
            [*ROWS, {"text": {"a"}}],
            "row 2 of KEY: 'text' holds a set, not a text or a number",
        ),
        (
            [{"label": torch.tensor(1)}],
            "row 0 of KEY: 'label' holds a Tensor, not a text or a number",
        ),
    ],
    ids=[
        "empty", "no rows", "generator", "lazy", "splits", "columns", "set", "column", "twice",
        "mixed", "array", "key", "value", "tensor",
    ],
)  # fmt: skip
def test_what_is_no_row_is_refused(rows: Any, line: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        RowFiles(tmp_path / "rows").path_of(rows, "KEY")
    assert str(error.value).startswith(line)
    assert not (tmp_path / "rows").exists()


def test_names_of_files_are_no_rows() -> None:
    for value in ("a.csv", ["a.csv"], ("a.csv", "b.csv"), None, 3, Path("a.csv")):
        assert not is_rows(value)
    for rows in ([], ROWS, ["a.csv", ROWS[0]], {}, generated(), table(a=["b"])):
        assert is_rows(rows)


def test_rows_of_several_tasks_are_one_file(tmp_path: Path) -> None:
    files = RowFiles(tmp_path)
    sections = {"mood": {"train": ROWS, "dev": "dev.csv"}, "near": {"train": ROWS}, "odd": 3}
    placed = files.placed({"tasks": sections, "texts": "wrong", "training": {"epochs": 1}})
    (path,) = tmp_path.iterdir()
    assert placed == {
        "tasks": {"mood": {"train": str(path), "dev": "dev.csv"}, "near": {"train": str(path)},
                  "odd": 3},
        "texts": "wrong",
        "training": {"epochs": 1},
    }  # fmt: skip
    said = "tasks.mood.train and tasks.near.train"
    assert files.named(f"{path}:4: bad; {path}: {path}") == f"row 3 of {said}: bad; {said}: {said}"
    assert sections["mood"]["train"] is ROWS


def test_all_wrong_rows_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        RowFiles(tmp_path).placed({"tasks": {"a": {"train": [], "dev": [3]}}, "texts": {}})
    assert error.value.args == (
        "tasks.a.train: has no rows",
        "row 0 of tasks.a.dev: takes a mapping of column names to values, got 3",
    )


def test_rows_of_a_run_stay_once_it_has_begun(tmp_path: Path) -> None:
    out = tmp_path / "run"

    def fail(error: Exception, *, begun: bool) -> None:
        with kept_rows(out, "status.json") as files:
            files.path_of(ROWS, "rows")
            if begun:
                out.mkdir()
                (out / "status.json").touch()
            raise error

    with pytest.raises(DataError):
        fail(DataError("bad"), begun=False)
    assert [*tmp_path.iterdir()] == []
    with pytest.raises(TrainingError):
        fail(TrainingError("not finite"), begun=False)
    (path,) = (tmp_path / "rows").iterdir()
    path.unlink()
    with pytest.raises(DataError):
        fail(DataError("bad"), begun=True)
    assert path.exists()


def test_rows_that_another_process_has_taken_up_are_left_to_it(tmp_path: Path) -> None:
    ours, others = RowFiles(tmp_path), RowFiles(tmp_path)
    path = ours.path_of(ROWS, "rows")
    others.path_of(ROWS, "rows")
    others.remove()
    ours.remove()
    assert path.exists()


def test_a_damaged_file_is_written_again(tmp_path: Path) -> None:
    path = RowFiles(tmp_path).path_of(ROWS, "rows")
    content = path.read_bytes()
    path.write_bytes(b"half")
    assert RowFiles(tmp_path).path_of(ROWS, "rows") == path
    assert path.read_bytes() == content


def test_passing_rows_are_gone_and_named_in_errors() -> None:
    paths = []

    def fail() -> None:
        with passing_rows() as files:
            paths.append(files.path_of(ROWS, "source"))
            assert paths[0].exists()
            raise ConfigError(f"{paths[0]}:1: bad", "other")

    with pytest.raises(ConfigError) as error:
        fail()
    assert error.value.args == ("row 0 of source: bad", "other")
    assert not paths[0].parent.exists()


def test_frames_of_pandas(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(ROWS, index=[7, 7])  # whatever rows are called
    frame["mixed"] = ["a", 1]
    frame["gone"] = [None, pandas.NA]
    frame["when"] = [pandas.Timestamp("2024-02-03"), pandas.NaT]
    expected = [
        {"text": "a fine film", "label": "1", "mixed": "a", "gone": "", "when": text}
        | {"text": row["text"], "label": str(row["label"]), "mixed": mixed}
        for row, mixed, text in zip(ROWS, "a1", ("2024-02-03 00:00:00", ""), strict=True)
    ]
    columns = ("text", "label", "mixed", "gone", "when")
    assert read(frame, tmp_path / "mixed", *columns) == expected
    even = frame.drop(columns="mixed")
    typed = read(even, tmp_path / "even", "text", "label", "gone", "when")
    assert typed == [{k: v for k, v in row.items() if k != "mixed"} for row in expected]
    assert rows_file(even, "a").suffix == ".parquet"
    assert rows_file(even[:1], "a") == rows_file(even.reset_index(drop=True)[:1], "a")


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (["text", "text"], "KEY: two columns are named 'text'"),
        (["text", 0], "KEY: a column's name should be a text, got 0"),
        ([["a", "b"], ["c", "d"]], "KEY: columns have names of 2 levels; takes one"),
    ],
)
def test_names_of_columns_of_pandas(columns: Any, line: str, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    with pytest.raises(DataError) as error:
        RowFiles(tmp_path).path_of(pandas.DataFrame([["a", "b"]], columns=columns), "KEY")
    assert str(error.value) == line


def test_frames_of_polars(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(ROWS).with_columns(polars.col("label").cast(polars.Int8))
    assert [row["label"] for row in read(frame, tmp_path, "text", "label")] == ["1", "0"]
    assert rows_file(frame, "a") == rows_file(polars.concat([frame[:1], frame[1:]]), "a")
    with pytest.raises(DataError, match="a LazyFrame holds no rows yet: collect"):
        rows_file(frame.lazy(), "a")


def test_datasets_of_datasets(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        text=datasets.Value("string"), y=datasets.ClassLabel(names=["no", "so", "yes"])
    )
    columns = {"text": ["a", "b", "c"], "y": [0, 1, 2]}
    dataset = datasets.Dataset.from_dict(columns, features=features)
    chosen = dataset.select([2, 0]).with_format("torch")
    assert [row["y"] for row in read(chosen, tmp_path, "text", "y")] == ["yes", "no"]
    files = DataFiles((RowFiles(tmp_path).path_of(chosen, "rows"),))
    assert FilesReader(files).class_names("y") == ("no", "so", "yes")
    splits = datasets.DatasetDict(train=dataset, test=dataset)
    with pytest.raises(DataError, match=r'several splits: name one of them, as dataset\["train"\]'):
        rows_file(splits, "a")
    with pytest.raises(DataError, match="an IterableDataset can't be read twice: list"):
        rows_file(dataset.to_iterable_dataset(), "a")
