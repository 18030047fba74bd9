import json
import random
from pathlib import Path

import pytest
from planned import planned

from accord.data.examples import BadRow, Example, Unlabelled, read_examples, read_source
from accord.data.files import files_of
from accord.data.plan import TaskPlan
from accord.data.resolving import resolve_task
from accord.errors import ConfigError, DataError


def config(path: Path, kind: str = "classification", **keys) -> TaskPlan:
    text = ["a", "b"] if kind.startswith("pair") else "a"
    return planned(**{"kind": kind, "train": str(path), "text": text, "label": "y", **keys})


def table(folder: Path, *rows: str, header: str = "id\ta\tb\ty") -> Path:
    path = folder / "file.tsv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def read(path: Path, section: TaskPlan, labelled: bool = True) -> list[Example | BadRow]:
    task = resolve_task("t", section)
    return list(read_examples(files_of(section, str(path)), section, task, labelled=labelled))


def reasons(path: Path, section: TaskPlan) -> list[tuple[int, str]]:
    return [(item.line, item.reason) for item in read(path, section) if isinstance(item, BadRow)]


def test_examples_hold_class_indices_and_stripped_texts(tmp_path):
    path = table(tmp_path, "i1\t hi \tx\t1.0", "i2\tyo\tx\t0")
    assert read(path, config(path, id="id")) == [
        Example(("hi",), 1.0, "i1", 2),
        Example(("yo",), 0.0, "i2", 3),
    ]


def test_without_an_id_column_there_are_no_ids(tmp_path):
    path = table(tmp_path, "7\ta\tb\t1", "8\tc\td\t2")
    assert [row.id for row in read(path, config(path, "pair-regression"))] == [None, None]


def test_bad_classification_rows(tmp_path):
    rows = ["1\t \tx\tpositive", "2\tt\tx\t", "3\tt\tx\tpositve", "4\tt\tx\tgood", "5\tt"]
    path = table(tmp_path, *rows)
    assert reasons(path, config(path, labels=["negative", "positive"])) == [
        (2, "'a' is empty"),
        (3, "'y' is empty: no label"),
        (4, "y: unknown label 'positve'; did you mean 'positive'?"),
        (5, "y: unknown label 'good'; allowed: negative, positive"),
        (6, "2 columns where the header has 4"),
    ]


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("many", "y: 'many' is not a number"),
        ("1_0", "y: '1_0' is not a number"),
        ("nan", "'y' is 'nan': no label"),
        ("-inf", "y: '-inf' is not a finite number"),
        ("1e400", "y: '1e400' is not a finite number"),
        ("5.1", "y: 5.1 is outside the range 0 to 5"),
        ("-0.5", "y: -0.5 is outside the range 0 to 5"),
    ],
)
def test_bad_regression_rows(tmp_path, label, reason):
    path = table(tmp_path, f"1\tt\tu\t{label}", "2\tt\tu\t5", "3\tt\tu\t0.0")
    section = config(path, "regression", range=[0, 5])
    assert reasons(path, section) == [(2, reason)]


def test_a_range_taken_from_train_does_not_bind_dev(tmp_path):
    path = table(tmp_path, "1\tt\tu\t1", "2\tt\tu\t4")
    section = config(path, "regression")
    task = resolve_task("t", section)
    assert task.range == (1.0, 4.0)
    dev = tmp_path / "dev.tsv"
    dev.write_text("a\ty\nx\t4.5\n")
    (row,) = read_examples(files_of(section, str(dev)), section, task, labelled=True)
    assert row == Example(("x",), 4.5, None, 2)


def test_an_unlabelled_file_needs_neither_labels_nor_ids_nor_texts(tmp_path):
    path = table(tmp_path, "t", "", '""', header="a")
    section = config(path, labels=[0, 1], id="id")
    assert read(path, section, labelled=False) == [
        Example(("t",), None, None, 2),
        Example(("",), None, None, 4),
    ]
    with pytest.raises(DataError, match="no column 'y'"):
        read(path, section)


def test_labels_come_from_the_training_file_in_order(tmp_path):
    path = table(tmp_path, *(f"1\tt\tu\t{label}" for label in ("10", "9", "9.0", "", "10")))
    assert resolve_task("t", config(path)).labels == ("9", "10")
    path = table(tmp_path, "1\tt\tu\tyes", "1\tt\tu\tno")
    assert resolve_task("t", config(path)).labels == ("no", "yes")


def test_configured_labels_keep_their_order_and_get_canonical():
    task = resolve_task("t", planned(kind="classification", text="a", labels=["b", "1.0", 0]))
    assert task.labels == ("b", "1", "0")


@pytest.mark.parametrize(
    ("keys", "loss", "metric"),
    [
        ({"kind": "classification", "labels": [0, 1]}, "cross_entropy", "accuracy"),
        ({"kind": "regression", "range": [0, 1]}, "mse", "pearson"),
        ({"kind": "classification", "labels": [0, 1], "loss": "mse", "metric": "f1"}, "mse", "f1"),
        (
            {"kind": "pair-classification", "text": ["a", "b"], "labels": [0, 1],
             "encoding": "separate", "head": "cosine"},
            "mse", "accuracy",
        ),
    ],
)  # fmt: skip
def test_default_loss_and_metric(keys, loss, metric):
    task = resolve_task("t", planned(**{"text": "a", **keys}))
    assert (task.loss, task.metric) == (loss, metric)


def test_a_one_output_loss_needs_two_labels():
    section = planned(kind="classification", text="a", labels=[0, 1, 2], loss="mse")
    with pytest.raises(ConfigError, match=r"tasks\.t\.loss: 'mse' takes exactly two labels.* 3"):
        resolve_task("t", section)


@pytest.mark.parametrize(
    ("kind", "label", "message"),
    [
        ("classification", "1", "holds the one label '1'"),
        ("classification", "", "holds no label"),
        ("regression", "3", "fewer than two different numbers"),
        ("regression", "x", "fewer than two different numbers"),
    ],
)
def test_a_column_that_settles_nothing(tmp_path, kind, label, message):
    path = table(tmp_path, f"1\tt\tu\t{label}", f"2\tt\tu\t{label}")
    with pytest.raises(ConfigError, match=message):
        resolve_task("t", config(path, kind))


def test_too_many_labels_are_no_labels(tmp_path):
    path = table(tmp_path, *(f"1\tt\tu\tl{i}" for i in range(1_001)))
    with pytest.raises(ConfigError, match="more than 1000 different labels"):
        resolve_task("t", config(path))


def test_nothing_to_take_labels_from():
    with pytest.raises(ConfigError, match=r"tasks\.t\.labels: missing"):
        resolve_task("t", planned(kind="classification", text="a"))


@pytest.mark.parametrize("seed", range(10))
def test_a_key_that_a_row_lacks_is_no_label_of_its_task_and_nothing_to_others(tmp_path, seed):
    """As a null is: whatever tasks read the same rows."""
    rng = random.Random(seed)
    make = {"mood": lambda: rng.choice(["up", "down"]), "score": rng.random,
            "tags": lambda: ["O", "B-x"], "sets": lambda: rng.sample(["p", "q"], rng.randint(0, 2)),
            "stars": lambda: rng.randint(1, 4)}  # fmt: skip
    kinds = {"mood": "classification", "score": "regression", "tags": "token-classification",
             "sets": "multi-label", "stars": "ordinal"}  # fmt: skip
    rows = [{"id": i, "text": ["a", f"b{i}"]} | {name: of() for name, of in make.items()}
            for i in range(30)]  # fmt: skip
    gone = [{name for name in kinds if rng.random() < 0.3} if i > 5 else set() for i in range(30)]
    plans = [
        planned(kind=kind, text="text", label=name, id="id", unlabelled="skip",
                train=str(tmp_path / "lacking.jsonl"))
        for name, kind in kinds.items()
    ]  # fmt: skip
    read = {}
    for way in ("lacking", "null"):
        path = tmp_path / f"{way}.jsonl"
        with path.open("w") as file:
            for row, names in zip(rows, gone, strict=True):
                rest = {name: value for name, value in row.items() if name not in names}
                file.write(json.dumps(rest | ({} if way == "lacking" else dict.fromkeys(names))))
                file.write("\n")
        tasks = [resolve_task("t", plan) for plan in plans]
        read[way] = list(read_source(files_of(plans[0], str(path)), plans, tasks, labelled=True))
    assert read["lacking"] == read["null"]
    for items, names in zip(read["lacking"], gone, strict=True):
        assert [isinstance(item, Unlabelled) for item in items] == [name in names for name in kinds]
        assert not any(isinstance(item, BadRow) for item in items)
