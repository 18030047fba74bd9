import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.spelling import canonical_label
from accord.tasks import Task

TASKS = [
    Task("a", "classification", "cross_entropy", "accuracy", labels=("x", "y", "z")),
    Task(
        "b",
        "pair-classification",
        "mse",
        "f1",
        labels=("0", "1"),
        encoding="separate",
        positive="1",
    ),
    Task("c", "pair-regression", "mse", "pearson", range=(0.0, 5.0)),
    Task("d", "regression", "binary_cross_entropy", "spearman", range=(-1.0, 1.0)),
]


@pytest.mark.parametrize("task", TASKS)
def test_a_task_survives_json(task):
    assert Task.from_json(json.loads(json.dumps(task.to_json()))) == task


def test_f1_of_a_class_that_is_none_is_refused():
    table = TASKS[1].to_json()
    for positive in (None, "2", "", 1, ["1"]):
        with pytest.raises(ValueError, match=r"^metric is 'f1', the positive class"):
            Task.from_json({**table, "positive": positive})


def test_what_only_training_goes_by_is_not_of_a_task_as_used():
    task = TASKS[0]
    trained = replace(task, dropout=0.4, class_weights=(1.0, 2.0, 0.5), label_smoothing=0.1)
    assert trained.as_used == task.as_used != trained
    assert replace(task, loss="mse").as_used != task.as_used


def test_what_a_task_derives():
    assert [task.outputs for task in TASKS] == [3, 1, 1, 1]
    assert [task.texts for task in TASKS] == [1, 2, 2, 1]
    assert [task.sequences for task in TASKS] == [1, 2, 1, 1]
    assert [task.layout for task in TASKS] == [((0,),), ((0,), (1,)), ((0, 1),), ((0,),)]


@pytest.mark.parametrize(
    ("text", "label"),
    [("1.0", "1"), (" 1 ", "1"), ("-0.0", "0"), ("1.5", "1.5"), ("nan", "nan"), ("inf", "inf"),
     ("yes ", "yes"), ("", ""), ("1e400", "1e400"), ("True", "true"), (" FALSE", "false"),
     ("1e+16", "10000000000000000"), ("1e-05", "0.00001"), ("1e-01", "1e-01"),
     ("9007199254740993", "9007199254740993")],
)  # fmt: skip
def test_canonical_labels(text, label):
    assert canonical_label(text) == label


@given(st.text())
def test_canonical_labels_are_fixed_points(text):
    assert canonical_label(canonical_label(text)) == canonical_label(text)


@pytest.mark.parametrize("label", ["1_0", "007", "+1", "1e3", "inf", "nan", "0x1"])
def test_a_name_that_only_looks_like_a_number_stays(label):
    assert canonical_label(label) == label
