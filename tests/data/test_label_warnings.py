"""Classes that a person should look at, and what is said of them."""

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planned import planned

from accord.data.files import DataFiles
from accord.data.label_warnings import ClassRows, class_rows, label_warnings
from accord.data.loader import TaskData
from accord.data.resolving import resolve_task
from accord.data.store import open_store


def warned(train: dict[str, int], dev: dict[str, int] | None = None, labels=()) -> list[str]:
    splits = [
        {
            label: ClassRows(rows, f"{name}.csv:{line}")
            for line, (label, rows) in enumerate(own.items(), 2)
        }
        for name, own in (("train", train), ("dev", dev or train))
    ]
    names = labels or list(dict.fromkeys([*train, *(dev or {})]))
    return [": ".join(parts) for parts in label_warnings(names, *splits)]


@given(st.sets(st.sampled_from("abcdefgh"), min_size=2))
def test_classes_that_differ_and_are_trained_are_in_order(labels):
    assert not warned(dict.fromkeys(labels, 1))


VARIANTS = [
    str.upper, str.title,
    lambda text: unicodedata.normalize("NFD", text), lambda text: f"{text}\u200b",
    lambda text: text.replace(" ", "\u00a0"), lambda text: text.replace(" ", "  "),
    lambda text: f"\ufeff{text}",
]  # fmt: skip


@given(
    st.text(st.sampled_from("abé ñ"), min_size=2).filter(lambda text: text.strip() == text),
    st.sampled_from(VARIANTS), st.integers(1, 50),
)  # fmt: skip
def test_classes_that_look_alike_are_said_once(label, variant, rows):
    label = unicodedata.normalize("NFC", label)
    other = variant(label)
    lines = warned({label: 100, other: rows, "z": 3}) if other != label else ["as one"]
    assert len(lines) == 1
    if other != label:
        (line,) = lines
        assert line.startswith("train.csv:3: ")  # the rarer one's first row
        assert line.isprintable()
        assert "(200 rows)" in line
        assert f"({2 * rows:,} rows)" in line


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (("Yes", "yes"), "differ in case or spaces alone"),
        (("caf\u00e9", "cafe\u0301"), "'café' (2 rows) and 'cafe\\u0301' (2 rows) differ"),
        (("1.5", "1.50"), "differ in how the number is spelt alone"),
        (("7", "007"), "differ in how the number is spelt alone"),
    ],
)  # fmt: skip
def test_how_they_differ(labels, words):
    (line,) = warned(dict.fromkeys(labels, 1))
    assert words in line


def test_a_class_that_dev_alone_has_is_named_with_its_row():
    (line,) = warned({"a": 5, "b": 5}, {"a": 1, "c": 3})
    assert line.startswith("dev.csv:3: label 'c' stands in no training row, but in 3 dev rows")
    (line,) = warned({"a": 5, "b": 5}, labels=["a", "b", "c"])
    assert line.startswith("labels: no row has the label 'c'")


def test_rows_of_a_split_are_counted_by_class(tmp_path, tiny_tokenizer):
    lines = "".join(f"{label}\ta text\n" for label in ("y", "x", "", "y", "y"))
    path = tmp_path / "f.tsv"
    path.write_text(f"label\ttext\n{lines}", encoding="utf-8")
    section = planned(kind="classification", text="text", labels=["x", "y", "z"], missing=[""])
    task = resolve_task("t", section)
    other = tmp_path / "g.tsv"
    other.write_text("label\ttext\n\ta text\nz\ta text\nx\ta text\n", encoding="utf-8")
    files = DataFiles((path, other))
    store = open_store(files, section, task, tiny_tokenizer, labelled=True, cache=tmp_path)
    assert class_rows(TaskData(task, store, np.arange(len(store)))) == {
        "x": ClassRows(2, f"{path}:3"), "y": ClassRows(3, f"{path}:2"),
        "z": ClassRows(1, f"{other}:3"),
    }  # fmt: skip
