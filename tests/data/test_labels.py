"""What a label's text means: a class, a number, or that there is none."""

import json
import random

import pytest
from planned import planned

from accord.data.examples import BadRow, Unlabelled, read_examples, refuse
from accord.data.files import DataFiles
from accord.data.guessing import guess_tasks
from accord.data.heldout_test import read_test_labels
from accord.data.labels import LabelParser, NoLabelError, without_label
from accord.data.resolving import resolve_task
from accord.errors import ConfigError
from accord.kinds import labelled_kind
from accord.tasks import Task


@pytest.mark.parametrize(
    ("labels", "none"),
    [
        ("0 1 2 -1", "-1"), ("0 1 -1", "-1"), ("1 -1", ""), ("-2 -1 0 1 2", ""),
        ("yes no -1", "-1"), ("-1", ""), ("-1 -100 0 1", "-1 -100"),
        ("entailment neutral -", "-"), ("+ -", ""), (". ! ?", ""), ("a b ?", "?"),
        ("1 2 NA", "NA"), ("1 2 None null n/a", "None null n/a"), ("true false nan", "nan"),
        ("DE FR NA", ""), ("favour against none", ""), ("pos neg nan NaT", "nan NaT"),
        ("unknown known", ""),
    ],
)  # fmt: skip
def test_which_labels_of_a_column_stand_for_none(labels, none):
    assert without_label(set(labels.split())) == set(none.split())


def parser(labels=(), *, missing=(), named=True, kind="classification", span=None) -> LabelParser:
    classes = tuple(labels)
    task = (
        Task("t", kind, "cross_entropy", "accuracy", labels=classes)
        if classes
        else Task("t", kind, "mse", "pearson", range=span or (0.0, 5.0))
    )
    keys = {"labels": list(classes)} if classes and named else {}
    if span:
        keys["range"] = list(span)
    section = planned(kind=kind, text="a", label="y", missing=list(missing), **keys)
    return labelled_kind(task).parser(section, task)


@pytest.mark.parametrize(
    ("parse", "text", "label"),
    [
        (parser("01"), "-1", "-1"), (parser("01"), "", ""), (parser("01"), "NaN", ""),
        (parser("01"), "None", ""), (parser("ab"), "nan", ""), (parser("ab"), " ", ""),
        (parser(kind="regression"), "-1.0", "-1"), (parser(kind="regression"), "NA", ""),
        (parser(kind="regression"), "?", "?"),
        (parser(kind="regression", span=(0, 5)), "-1", "-1"),
    ],
)  # fmt: skip
def test_a_row_without_a_label_says_what_missing_would_have_to_name(parse, text, label):
    assert not parse.is_missing(text)
    with pytest.raises(NoLabelError) as caught:
        parse(text)
    assert caught.value.label == label


def test_what_is_named_a_label_is_one():
    assert parser(["-1", "0", "1"])("-1.0") == 0
    assert parser(["nan", "NA", "x"])("nan") == 0
    assert parser(kind="regression", span=(-1, 1))("-1") == -1
    assert parser(["False", "True"])("TRUE") == 1  # as a model may name its classes


@pytest.mark.parametrize("text", ["None", "c"])
def test_an_unknown_name_is_no_missing_value(text):
    parse = parser("ab", missing=[""])
    assert not parse.is_missing(text)
    with pytest.raises(ValueError, match="unknown label") as caught:
        parse(text)
    assert not isinstance(caught.value, NoLabelError)


def test_missing_names_values_in_any_spelling():
    parse = parser("01", missing=[-1, "", 9.0, True])
    assert all(map(parse.is_missing, ["-1", "-1.0", " ", "nan", "NA", "9", "TRUE"]))
    assert not any(map(parse.is_missing, ["0", "1", "-2", "false"]))
    with pytest.raises(ValueError, match="missing: '1' is one of 'labels' too"):
        parser("01", missing=["1.0"])


def csv(path, labels, header="text,y"):
    path.write_text("\n".join([header, *(f"a b c {i},{y}" for i, y in enumerate(labels))]) + "\n")
    return path


def test_hidden_labels_are_refused_or_left_out(tmp_path):
    path = csv(tmp_path / "d.csv", ["0", "1", "-1", ""])
    keys = {"kind": "classification", "train": str(path), "text": "text", "label": "y"}
    section = planned(**keys)
    task = resolve_task("t", section)
    assert task.labels == ("0", "1")
    hidden, blank = (
        row
        for row in read_examples(DataFiles((path,)), section, task, labelled=True)
        if isinstance(row, BadRow)
    )
    assert str(refuse(hidden)) == (
        f"{path}:4: y: '-1' stands for a hidden label in many data sets; 'labels' has to name it if"
        ' it is a class (missing = ["-1"] would leave such rows out)'
    )
    assert str(refuse(blank)) == (
        f"{path}:5: 'y' is empty: no label (missing = [\"\"] would leave such rows out)"
    )
    section = planned(**keys, missing=[-1, ""])
    assert list(read_examples(DataFiles((path,)), section, task, labelled=True))[2:] == [
        Unlabelled(4), Unlabelled(5),
    ]  # fmt: skip


def test_one_class_beside_hidden_labels_is_none(tmp_path):
    path = csv(tmp_path / "d.csv", ["0", "-1", "0"])
    section = planned(kind="classification", train=str(path), text="text", label="y")
    with pytest.raises(ConfigError, match="holds the one label '0' beside '-1', which in many"):
        resolve_task("t", section)


@pytest.mark.parametrize(
    ("values", "span"),
    [
        (["0.5", "4", "-1"], (0.5, 4.0)), (["0.5", "-1", "-0.5"], (-1.0, 0.5)),
        (["0.5", "4", "nan", "-100.0"], (0.5, 4.0)),
    ],
)  # fmt: skip
def test_hidden_targets_do_not_widen_the_range(tmp_path, values, span):
    path = csv(tmp_path / "d.csv", values)
    section = planned(kind="regression", train=str(path), text="text", label="y")
    assert resolve_task("t", section).range == span


@pytest.mark.parametrize(
    ("train", "dev", "kind", "labels", "missing"),
    [
        (["0", "1"] * 9, ["-1"] * 4, "classification", ("0", "1"), ("-1",)),
        (["0", "1", "-1"] * 9, ["0"], "classification", ("-1", "0", "1"), ()),
        (["0", "1"] * 20 + ["-1"], ["1"], "classification", ("0", "1"), ("-1",)),
        (["1", "-1"] * 9, ["1"], "classification", ("-1", "1"), ()),
        (["e", "n", "-"] + ["e"] * 20, ["-"], "classification", ("e", "n"), ("-",)),
        (["True", "FALSE"] * 3, ["true"], "classification", ("false", "true"), ()),
        (["1", "2", "", "NA"], ["nan"], "classification", ("1", "2"), ("", "NA", "nan")),
        (["DE", "NA", "DE"], ["FR"], "classification", ("DE", "FR", "NA"), ()),
        (["0.5", "1.5", "nan"], ["-1"], "regression", (), ("-1", "nan")),
    ],
)
def test_what_a_column_of_labels_is_taken_for(tmp_path, train, dev, kind, labels, missing):
    paths = [csv(tmp_path / "d-train.csv", train), csv(tmp_path / "d-dev.csv", dev)]
    (task,) = guess_tasks(paths)
    assert (task.kind, task.labels, set(task.missing)) == (kind, labels, set(missing))
    assert kind == "classification" or task.range == (0.5, 1.5)
    assert sum("(missing)" in reason for reason in task.reasons) == len(missing)


@pytest.mark.parametrize(
    ("values", "missing", "expected", "reason"),
    [
        (["0", "1", "1"], [], [0, 1, 1], ""),
        (["-1", "-1", "-1"], [], None, ""),
        (["", "-1", "nan"], [], None, ""),
        (["0", "-1", "1"], ["-1"], [0, None, 1], ""),
        (["0", "", "1"], [], None, "1 of 3 rows have no label, the first in line 3 (missing = ["),
        (["0", "0", "0"], [], None, "every row's label is '0'"),
        (["0", "0", "-1"], [-1], None, "every row's label is '0'"),
        (["0", "7", "-1"], [], None, "line 3: y: unknown label '7'"),
    ],
)
def test_labels_of_a_test_file(tmp_path, values, missing, expected, reason):
    path = csv(tmp_path / "t.csv", values)
    section = planned(kind="classification", text="text", label="y", labels=[0, 1], missing=missing)
    task = resolve_task("t", section)
    found = read_test_labels(DataFiles((path,)), section, task)
    assert found.reason.startswith(reason)
    assert bool(found.reason) == bool(reason)
    if expected is None:
        assert found.targets is None
    else:
        labelled = {row: label for row, label in enumerate(expected) if label is not None}
        assert dict(zip(found.rows.tolist(), found.targets.tolist(), strict=True)) == labelled


def test_labels_of_a_test_file_are_those_of_its_rows_whatever_its_form(tmp_path):
    """Rows that can't be predicted have none; those of an array of JSON may share a line."""
    rng = random.Random(0)
    forms = {
        "a.json": json.dumps, "b.json": lambda rows: json.dumps(rows, indent=1),
        "c.jsonl": lambda rows: "\n".join(map(json.dumps, rows)),
    }  # fmt: skip
    for trial in range(30):
        rows = [
            {"text": "t", "y": rng.choice([0, 1, 1, "-1", None, []][: 3 if trial % 3 else 6])}
            for _ in range(rng.randint(2, 9))
        ]
        for row in rng.sample(rows, 1) if trial % 2 else ():
            row["text"] = {"no": "text"}
        usable = [row["y"] for row in rows if row["text"] == "t"]
        limit = rng.choice([None, 2])
        wanted = usable[:limit]
        for name, form in forms.items():
            (tmp_path / name).write_text(form(rows))
            plan = planned(kind="classification", text="text", label="y", labels=[0, 1],
                           missing=[-1], limit=limit, on_bad_row="skip")  # fmt: skip
            found = read_test_labels(DataFiles((tmp_path / name,)), plan, resolve_task("t", plan))
            labelled = {i: label for i, label in enumerate(wanted) if label in (0, 1)}
            if any(label in (None, []) for label in wanted) or len({*labelled.values()}) < 2:
                assert found.targets is None
            else:
                assert (
                    dict(zip(found.rows.tolist(), found.targets.tolist(), strict=True)) == labelled
                )
