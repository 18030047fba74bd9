"""A split in several files: named by a list, a pattern or a folder, and read as one."""

import gzip
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from planned import planned

from accord.data.datafiles import find_files
from accord.data.examples import BadRow, Example, read_examples
from accord.data.files import files_of
from accord.data.guessing import guess_tasks
from accord.data.heldout_test import read_test_labels
from accord.data.plan import TaskPlan
from accord.data.resolving import resolve_task
from accord.errors import ConfigError, DataError

ROWS = [(f"text number {number}", number % 2) for number in range(24)]
FORMATS = ["csv", "tsv", "csv.gz", "jsonl", "jsonl.gz", "json", "json.gz", "parquet"]


def write(path: Path, rows: list[tuple[str, object]]) -> Path:
    path.parent.mkdir(exist_ok=True)
    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        texts, labels = zip(*rows, strict=True)
        pq.write_table(pa.table({"text": texts, "label": labels}), path)
        return path
    objects = [{"text": text, "label": label} for text, label in rows]
    if name.endswith(".jsonl"):
        content = "".join(json.dumps(own) + "\n" for own in objects)
    elif name.endswith(".json"):
        content = json.dumps(objects, indent=random.Random(path.name).choice([None, 1]))
    else:
        mark = "\t" if name.endswith(".tsv") else ","
        content = "".join(f"{text}{mark}{label}\n" for text, label in [("text", "label"), *rows])
    path.write_bytes(
        gzip.compress(content.encode(), mtime=0) if path.suffix == ".gz" else content.encode()
    )
    return path


def section(value: object, **keys: object) -> TaskPlan:
    return planned(**{"kind": "classification", "train": value, "text": "text", **keys})


def read(config: TaskPlan) -> list[tuple[str, float | None, str]]:
    files, task = files_of(config, config.train), resolve_task("t", config)
    found = list(read_examples(files, config, task, labelled=True))
    assert not [own for own in found if isinstance(own, BadRow)]
    return [(own.texts[0], own.label, own.id) for own in found if isinstance(own, Example)]


EXPECTED = [(text, float(label), None) for text, label in ROWS]


@pytest.mark.parametrize("form", FORMATS)
def test_however_a_split_is_named_its_rows_are_those_of_one_file(tmp_path, form):
    whole = write(tmp_path / f"whole.{form}", ROWS)
    shards = [
        write(tmp_path / "data" / f"train-0000{i}-of-00003.{form}", ROWS[8 * i : 8 * i + 8])
        for i in range(3)
    ]
    named = [
        str(whole), [str(whole)], [str(path) for path in shards],
        str(tmp_path / "data" / f"train-*.{form}"), str(tmp_path / "data"),
        [str(shards[0]), str(tmp_path / "data" / "train-0000[12]-*")],
    ]  # fmt: skip
    for value in named:
        assert read(section(value)) == EXPECTED, value
    other = [EXPECTED[i] for i in (*range(16, 24), *range(16))]
    found = read(section([str(shards[2]), str(shards[0]), str(shards[1])]))
    assert [own[:2] for own in found] == [own[:2] for own in other]  # in the list's order


def test_files_of_several_formats_and_one_list(tmp_path):
    some = [write(tmp_path / f"part{i}.{form}", ROWS[3 * i : 3 * i + 3])
            for i, form in enumerate(FORMATS)]  # fmt: skip
    assert read(section([str(path) for path in some])) == EXPECTED


def test_a_bad_row_is_named_by_its_file_and_line(tmp_path):
    first = write(tmp_path / "a.csv", ROWS[:3])
    second = write(tmp_path / "b.csv", [*ROWS[3:6], ("", 1), ("x", 7)])
    config = section([str(first), str(second)], labels=["0", "1"])
    files, task = files_of(config, config.train), resolve_task("t", config)
    bad = [own for own in read_examples(files, config, task, labelled=True)
           if isinstance(own, BadRow)]  # fmt: skip
    assert [str(own).split(": ")[0] for own in bad] == [f"{second}:5", f"{second}:6"]


def test_unlike_files_are_refused_by_name(tmp_path):
    first = write(tmp_path / "a.parquet", ROWS[:3])
    pq.write_table(pa.table({"sentence": ["x"], "label": [1]}), tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"b\.parquet: no column 'text'; .* label, sentence|sent"):
        read(section([str(first), str(tmp_path / "b.parquet")]))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("none-*.csv", "none-.*: no file fits this pattern"),
        ("mised", "no such file; did you mean"),
        ("mixed", "several formats, as .* and .*; name the files, or a pattern"),
        ("splits", "several splits, as test.* and train.*; name the files, or a pattern"),
        ("lacking", "holds 1 of the 2 shards of train, without number 0"),
        ("bare", "a folder without data files"),
        (["mixed/a.csv", "mixed/a.csv"], "names .*a.csv twice"),
        (["mixed/a.csv", "mixed/*.csv"], "names .*a.csv twice"),
    ],
)  # fmt: skip
def test_values_that_name_no_split(tmp_path, value, message):
    for name in ("mixed/a.csv", "mixed/b.jsonl", "splits/train.csv", "splits/test.csv",
                 "lacking/train-00001-of-00002.csv", "bare/README.md", "mixd"):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("text,label\na,1\n")
    values = [value] if isinstance(value, str) else value
    with pytest.raises(ConfigError, match=message) as caught:
        find_files([str(tmp_path / own) for own in values])
    assert "\n" not in str(caught.value)


def test_a_name_with_the_marks_of_a_pattern_is_a_name(tmp_path):
    path = write(tmp_path / "train[1].csv", ROWS)
    assert read(section(str(path))) == EXPECTED


def test_init_groups_shards_and_reads_folders(tmp_path):
    for split, count in (("train", 3), ("validation", 1)):
        for i in range(count):
            name = f"{split}-{i:05}-of-{count:05}.parquet"
            write(tmp_path / "films" / name, ROWS[4 * i : 4 * i + 4])
    (tmp_path / "films" / "README.md").write_text("About.\n")
    given = sorted((tmp_path / "films").glob("*.parquet"))
    for paths in (given, [tmp_path / "films"]):
        (task,) = guess_tasks(paths)
        assert task.files == {"train": tuple(given[:3]), "dev": (given[3],)}
        assert (task.name, task.labels) == ("films", ("0", "1"))
    (task,) = guess_tasks(given[1:])
    assert "train: 2 of the 3 shards of train, without number 0" in task.reasons


def coded(path: Path, names: list[str], codes: list[int | None]) -> Path:
    """Write a Parquet file as `datasets` does, with the classes' names beside the schema."""
    feature = {"names": names, "_type": "ClassLabel"}
    info = {"info": {"features": {"text": {"dtype": "string", "_type": "Value"}, "label": feature}}}
    texts = [f"text {i}" for i in range(len(codes))]
    table = pa.table({"text": texts, "label": pa.array(codes, pa.int64())})
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(info)}), path)
    return path


def test_class_names_of_parquet_are_the_labels(tmp_path):
    names = ["worse", "alike", "better"]
    first = coded(tmp_path / "train-00000-of-00002.parquet", names, [2, 0, 1, 0])
    second = coded(tmp_path / "train-00001-of-00002.parquet", names, [1, 2])
    config = section([str(first), str(second)])
    assert resolve_task("t", config).labels == tuple(names)  # in the file's order, not sorted
    assert [label for _, label, _ in read(config)] == [2, 0, 1, 0, 1, 2]
    (task,) = guess_tasks([first, second])
    assert task.labels == tuple(names)
    numbers = section([str(first), str(second)], kind="regression")
    assert [label for _, label, _ in read(numbers)] == [2, 0, 1, 0, 1, 2]  # a scale keeps numbers
    coded(second, [*reversed(names)], [1, 2])
    with pytest.raises(DataError, match=r"00001.*: names other classes for 'label' than .*00000"):
        resolve_task("t", config)


def test_hidden_and_impossible_codes(tmp_path):
    path = coded(tmp_path / "f.parquet", ["no", "yes"], [0, 1, -1, None, 2])
    config = section(str(path))
    files, task = files_of(config, config.train), resolve_task("t", config)
    found = list(read_examples(files, config, task, labelled=True))
    reasons = [own.reason for own in found if isinstance(own, BadRow)]
    assert reasons[0].startswith("label: '-1' stands for a hidden label")
    assert reasons[1] == "'label' is empty: no label"
    assert reasons[2] == "'label' holds 2, but the file names 2 classes"
    hidden = coded(tmp_path / "g.parquet", ["yes", "no", "unsure"], [0, 1, -1, None, -1, 2, 0])
    (task,) = guess_tasks([hidden])
    assert (task.labels, task.missing) == (("yes", "no", "unsure"), ("", "-1"))
    config = section(str(hidden), missing=["", "-1", "unsure"])
    assert resolve_task("t", config).labels == ("yes", "no")
    assert [label for _, label, _ in read(config)] == [0, 1, 0]


def test_labels_of_several_test_files(tmp_path):
    first, second = write(tmp_path / "a.csv", ROWS[:4]), write(tmp_path / "b.csv", ROWS[4:8])
    config = section(str(first), labels=["0", "1"])
    files, task = files_of(config, [str(first), str(second)]), resolve_task("t", config)
    found = read_test_labels(files, config, task)
    assert found.targets is not None
    assert found.targets.tolist() == [label for _, label in ROWS[:8]]
    write(second, [("x", 1), ("y", "")])
    assert f"the first in {second}:3" in read_test_labels(files, config, task).reason
