"""Which class F1 is of: the config's, the one that says yes, or the rarer one."""

import csv
import random

import pytest
from pydantic import ValidationError

from accord.data.resolving import resolve_task
from accord.errors import ConfigError
from accord.kinds import task_section
from accord.spelling import canonical_label


@pytest.fixture
def resolve(tmp_path):
    """Resolve a task of these labels, a row each: (labels, keys) -> the task."""

    def call(labels, **keys):
        path = tmp_path / "train.csv"
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([["text", "label"], *(["x", label] for label in labels)])
        keys = {"kind": "classification", "text": "text", "train": str(path), **keys}
        return resolve_task("t", task_section(**keys))

    return call


@pytest.mark.parametrize("pair", [
    ("0", "1"), ("-1", "1"), ("no", "yes"), ("No", "YES"), ("false", "true"), ("False", "True"),
    ("n", "y"), ("negative", "positive"), ("neg", "pos"), ("1.0", "0.0"),
])  # fmt: skip
def test_of_two_labels_the_one_that_says_yes(resolve, pair):
    yes = next(label for label in pair if label.casefold()[:1] in "ytp1")
    for labels in (pair, pair[::-1], [*pair, yes, yes]):
        task = resolve(labels, metric="f1")
        assert task.positive == canonical_label(yes)
        assert task.labels[task.positive_class] == task.positive
        assert task.metric_name == f"F1 of '{task.positive}'"
    # Known without a look at the rows, and so under any metric.
    assert resolve(pair).positive == task.positive


@pytest.mark.parametrize("seed", range(4))
def test_else_the_rarer_one(resolve, seed):
    rng = random.Random(seed)
    names = rng.sample(["ok", "fraud", "ham", "spam", "a", "Z", "1", "2"], 2)
    rows = [names[0]] * rng.randint(1, 9)
    rows += [names[1]] * (len(rows) + rng.randint(1, 9))
    rng.shuffle(rows)
    assert resolve(rows, metric="f1").positive == names[0]
    assert resolve(rows, metric="f1", positive=names[1]).positive == names[1]
    assert resolve(rows).positive is None
    assert resolve(rows, metric="macro_f1").metric_name == "macro F1"


@pytest.mark.parametrize("labels", [["ok", "fraud"], ["a", "b", "c", "c"], ["0", "1", "2"]])
def test_what_no_one_can_tell_is_refused(resolve, labels):
    with pytest.raises(ConfigError, match=r"^tasks\.t\.metric: 'f1' is of one class: name it in"):
        resolve(labels, metric="f1")
    task = resolve(labels, metric="f1", positive=labels[0])
    assert task.metric_name == f"F1 of '{labels[0]}'"


def test_a_positive_class_that_is_none(resolve):
    with pytest.raises(ConfigError, match=r"^tasks\.t\.positive: no label is 'frau'; did you mean"):
        resolve(["ok", "fraud"], metric="f1", positive="frau")
    assert resolve(["0", "1", "2"], positive=2).positive == "2"
    with pytest.raises(ValidationError, match="positive: is for classification"):
        resolve(["1", "2"], kind="regression", positive=1)
    with pytest.raises(
        ValidationError, match="is evaluated by accuracy, f1, macro_f1, got 'pearson'"
    ):
        resolve(["a", "b"], metric="pearson")
