"""Cells that are lists: alike in every typed file, words of a text, and no label of one class."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planned import planned

from accord.data.examples import BadRow, Example, read_examples, read_labels
from accord.data.files import DataFiles
from accord.data.heldout_test import read_test_labels
from accord.data.plan import TaskPlan
from accord.data.reading import FilesReader, Row
from accord.data.resolving import resolve_task
from accord.errors import ConfigError

quick = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])

WORDS = st.lists(st.text('abé情 "\\\t-1', max_size=4), max_size=5)
LISTS = {
    "words": (WORDS, pa.list_(pa.string())),
    "gaps": (st.lists(st.none() | st.text("ab", max_size=2), max_size=4), pa.list_(pa.string())),
    "numbers": (st.lists(st.none() | st.integers(-(2**60), 2**60)), pa.large_list(pa.int64())),
    "halves": (st.lists(st.integers(-99, 99).map(lambda n: n + 0.5)), pa.list_(pa.float32())),
    "truths": (st.lists(st.booleans(), min_size=2, max_size=2), pa.list_(pa.bool_(), 2)),
    "spans": (
        st.lists(st.fixed_dictionaries({"at": st.integers(0, 9), "of": st.text("ab")})),
        pa.list_(pa.struct({"at": pa.int64(), "of": pa.string()})),
    ),
    "nested": (st.lists(st.lists(st.text("ab"))), pa.list_(pa.list_(pa.string()))),
}


def write(
    path: Path, columns: dict[str, list], types: dict[str, pa.DataType] | None = None
) -> Path:
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if path.suffix == ".parquet":
        arrays = {name: pa.array(of, (types or {}).get(name)) for name, of in columns.items()}
        pq.write_table(pa.table(arrays), path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    else:
        path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def rows_of(path: Path) -> list[Row]:
    reader = FilesReader(DataFiles((path,)))
    return list(reader.rows(reader.columns))


def plain(value):
    """A list cell without the difference between a number and its spelling."""
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {key: plain(of) for key, of in value.items()}
    if isinstance(value, bool):
        return str(value).lower()
    return value if value is None else str(value)


@quick
@given(st.data())
def test_lists_are_alike_in_every_typed_file(tmp_path, data):
    columns = {
        name: data.draw(st.lists(of, min_size=2, max_size=2), label=name)
        for name, (of, _) in LISTS.items()
    }
    types = {name: kind for name, (_, kind) in LISTS.items()}
    for suffix in (".jsonl", ".json", ".parquet"):
        read = rows_of(write(tmp_path / f"f{suffix}", columns, types))
        for number, row in enumerate(read):
            assert row.fault is None
            assert row.lists.keys() == columns.keys()
            for name, values in columns.items():
                assert plain(row.lists[name]) == plain(values[number])
                assert json.loads(row.values[name]) == values[number]


def test_what_a_list_must_not_hold_is_said_of_its_row(tmp_path):
    path = tmp_path / "f.jsonl"
    lines = [
        '{"a": ["x", "\\ud800"]}', '{"a": [Infinity]}', f'{{"a": {"[" * 400}{"]" * 400}}}',
        '{"a": [NaN, null]}', '{"a": []}',
    ]  # fmt: skip
    path.write_text("\n".join(lines), encoding="utf-8")
    read = rows_of(path)
    faults = ["'a' holds half a character", "'a' holds an infinite number"]
    for row, words in zip(read, faults, strict=False):
        assert row.fault.startswith(words)
    assert read[2].fault is None or "nested too deeply" in read[2].fault
    assert [row.lists["a"] for row in read[3:]] == [[None, None], []]


def section(path: Path, **keys) -> TaskPlan:
    named = {"kind": "classification", "train": str(path), "text": "text", "label": "y", **keys}
    return planned(**named)


@quick
@given(rows=st.lists(WORDS, min_size=2, max_size=6))
def test_a_list_of_words_is_a_text_for_any_kind(tmp_path, rows):
    texts = [" ".join(words).strip() for words in rows]
    labels = ["p", "q"] * len(rows)
    for suffix in (".jsonl", ".json", ".parquet"):
        columns = {"text": rows, "y": labels[: len(rows)]}
        path = write(tmp_path / f"f{suffix}", columns, {"text": pa.list_(pa.string())})
        plan = section(path, labels=["p", "q"])
        read = list(read_examples(DataFiles((path,)), plan, resolve_task("t", plan), labelled=True))
        assert [row.texts[0] if isinstance(row, Example) else row.reason for row in read] == [
            text or "'text' is empty" for text in texts
        ]
        seen = [label for text, label in zip(texts, labels, strict=False) if text]
        assert list(read_labels(DataFiles((path,)), plan)) == seen


@pytest.mark.parametrize(
    ("cell", "shown"),
    [(["a", 1], "1"), ([["a"]], '["a"]'), (["a", None], "null"), ([True], "true"), ([0.5], "0.5")],
)
def test_a_text_s_list_of_anything_else_is_a_bad_row(tmp_path, cell, shown):
    path = write(tmp_path / "f.jsonl", {"text": [cell, "a"], "y": ["p", "q"]})
    plan = section(path, labels=["p", "q"])
    bad, good = read_examples(DataFiles((path,)), plan, resolve_task("t", plan), labelled=True)
    assert str(bad) == f"{path}:1: 'text' holds a list of more than words: {shown}"
    assert good.texts == ("a",)
    first = read_examples(DataFiles((path,)), plan, resolve_task("t", plan), labelled=False)
    assert isinstance(next(first), BadRow)


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_a_column_of_lists_is_no_label(tmp_path, kind):
    path = write(tmp_path / "f.jsonl", {"text": ["a", "b"], "y": [["O"], ["B-x"]]})
    with pytest.raises(ConfigError) as caught:
        resolve_task("t", section(path, kind=kind))
    start = f"tasks.t.label: column 'y' of {path} holds lists; kind "
    assert str(caught.value).startswith(start)


@pytest.mark.parametrize("column", ["y", "id", "user"])
def test_a_list_for_a_label_id_or_group_is_a_bad_row(tmp_path, column):
    columns = {
        "text": ["a", "b", "c"],
        "y": ["p", "q", "q"],
        "id": list("123"),
        "user": list("uvw"),
    }
    columns[column][1] = ["q"]
    path = write(tmp_path / "f.jsonl", columns)
    plan = section(path, id="id", group="user")
    task = resolve_task("t", plan)
    read = list(read_examples(DataFiles((path,)), plan, task, labelled=True))
    assert [isinstance(row, Example) for row in read] == [True, False, True]
    assert str(read[1]).startswith(f"{path}:2: '{column}' holds a list, not ")
    if column == "y":
        assert task.labels == ("p", "q")
        reason = read_test_labels(DataFiles((path,)), plan, task).reason
        assert reason == "line 2: 'y' holds a list, not one label"
