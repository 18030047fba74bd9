from pathlib import Path

import pytest

from accord.data.guessing import group_files, guess_tasks
from accord.errors import DataError


def write(folder: Path, name: str, header: str, *rows: str) -> Path:
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.mark.parametrize(
    ("names", "groups"),
    [
        (["sst-train.csv", "sst-dev.csv"], {"sst": ["train", "dev"]}),
        (["a.train.tsv", "a_valid.tsv", "a test.tsv"], {"a": ["train", "dev", "test"]}),
        (["reviews.csv"], {"reviews": ["train"]}),
        (["imdb/train.csv", "imdb/test.csv"], {"imdb": ["train", "test"]}),
        (["x/d.csv", "y/d.csv"], {"d": ["train"], "y-d": ["train"]}),
        (["Größe.csv"], {"gr-e": ["train"]}),
    ],
)
def test_files_of_a_task_find_each_other(names, groups):
    found = group_files([Path(name) for name in names])
    assert {task: list(files) for task, files in found.items()} == groups


def test_two_files_for_one_split():
    with pytest.raises(DataError, match="looks like the dev file of 'a'"):
        group_files([Path("a-train.csv"), Path("a-dev.csv"), Path("a-valid.csv")])


def test_no_training_file():
    with pytest.raises(DataError, match="no training file beside it"):
        group_files([Path("a-dev.csv")])


TEXTS = ["what a fine film", "a dull long film", "I liked it a lot", "not for me at all"]


def test_columns_without_telling_names(tmp_path):
    rows = [f"k{i}\t{text}\t{'up' if i % 2 else 'down'}" for i, text in enumerate(TEXTS)]
    (task,) = guess_tasks([write(tmp_path, "d.tsv", "key\tphrase\tverdict", *rows)])
    assert (task.kind, task.text, task.label, task.id) == (
        "classification", ("phrase",), "verdict", None,
    )  # fmt: skip
    assert task.labels == ("down", "up")
    assert any("longest texts" in reason for reason in task.reasons)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["0.0", "1.0", "1", "0"], "classification"),
        (["0.5", "1", "2", "3"], "regression"),
        ([str(i) for i in range(21)], "regression"),
        (["pos", "neg", "1", "2"], "classification"),
    ],
)
def test_the_kind_follows_from_the_labels(tmp_path, values, kind):
    rows = [f"{TEXTS[i % 4]},{value}" for i, value in enumerate(values)]
    (task,) = guess_tasks([write(tmp_path, "d.csv", "text,label", *rows)])
    assert task.kind == kind


def test_two_columns_of_running_text_are_a_pair(tmp_path):
    rows = [f"{text}\t{text} too\t{i / 3}" for i, text in enumerate(TEXTS)]
    (task,) = guess_tasks([write(tmp_path, "d.tsv", "left\tright\tscore", *rows)])
    assert (task.kind, task.text, task.range) == ("pair-regression", ("left", "right"), (0, 1))


def test_labels_that_stand_in_dev_alone_count(tmp_path):
    train = write(tmp_path, "d-train.csv", "text,label", "a,x", "b,y")
    dev = write(tmp_path, "d-dev.csv", "text,label", "c,z")
    assert guess_tasks([train, dev])[0].labels == ("x", "y", "z")


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("id,number", "1,2", "no column looks like a text"),
        ("text,other", "a,b c d", "no column looks like a label"),
    ],
)
def test_nothing_to_guess_from(tmp_path, header, row, message):
    with pytest.raises(DataError, match=message):
        guess_tasks([write(tmp_path, "d.csv", header, row)])


def test_too_many_names_are_no_labels(tmp_path):
    rows = [f"some text here,l{i}" for i in range(1_001)]
    with pytest.raises(DataError, match="so it is no label"):
        guess_tasks([write(tmp_path, "d.csv", "text,label", *rows)])
