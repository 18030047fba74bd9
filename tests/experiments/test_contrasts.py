"""Contrasts that a grid's file asks for, beside the differences of its reference."""

import pytest

from accord.comparison.differences import RowsDiffer, TaskDifference
from accord.comparison.group import Group
from accord.experiments.contrasts import agreement_note, contrast_items, planned
from accord.experiments.rows import Row
from accord.experiments.spec import Experiment, ReportSpec
from accord.statistics.crossed import Difference

REFERENCE = {"one": {"up": 0.6, "down": 0.6, "near": 0.6, "alone": 0.6, "luck": 0.6},
             "other": {"up": 0.5, "down": 0.5, "near": 0.5, "alone": 0.5, "luck": 0.5}}  # fmt: skip
TASKS = (*REFERENCE["one"], "new", "moved")


def compared(task, ours, theirs):
    """What two groups differ in by the task's name; nothing of them is asked."""
    if task == "moved":
        raise RowsDiffer("evaluated on different rows of 'moved'")
    value = {"up": 0.1, "down": -0.1}.get(task, 0.001)
    seeds, variance = ((0,), 0.0) if task == "alone" else ((0, 1, 2), 1e-8)
    spread = 1e-2 if task == "near" else 1e-8
    difference = Difference(
        value, variance, spread, 0.0, 4.0, 99.0, seeds, seeds, (0.5,) * len(seeds),
        (0.5 - value,) * len(seeds), 100,
    )  # fmt: skip
    return TaskDifference(task, "accuracy", "test", difference, 0.4, "always '0'", task != "luck")


@pytest.fixture
def experiment():
    """One contrast of two rows over seven tasks, six of which can be compared."""
    spec = ReportSpec.model_validate(
        {"title": "t", "reference": {"name": "book", "file": "book.toml"},
         "contrasts": [{"label": "one − other", "of": "one", "against": ["gone", "other"]}]}
    )  # fmt: skip
    rows = {label: dict.fromkeys(TASKS, label) for label in ("one", "other")}
    reference = {label: {task: [own, 0.0] for task, own in figures.items()}
                 for label, figures in REFERENCE.items()}  # fmt: skip
    return Experiment("mine", spec, [], {**rows, "gone": {}}, reference)


def test_verdicts_stand_beside_the_reference_s_signs(experiment, monkeypatch):
    monkeypatch.setattr("accord.experiments.contrasts.task_difference", compared)
    groups = {label: Group(label, []) for label in ("one", "other")}
    rows = {label: Row(label, dict.fromkeys(TASKS, own), own) for label, own in groups.items()}
    contrasts, refused = planned(experiment, {**rows, "gone": Row("gone", {}, None)})
    assert refused == ["moved: one − other: not compared: evaluated on different rows of 'moved'."]
    assert {own.task: own.agreement for own in contrasts} == {
        "up": "agrees", "down": "disagrees", "near": "not shown here", "alone": "cannot tell",
        "luck": "cannot tell", "new": None,
    }  # fmt: skip
    assert [own.reference for own in contrasts[:5]] == pytest.approx([0.1] * 5)
    assert agreement_note(experiment, contrasts) == [
        "Of 5 differences that the book has too, 1 have the book's sign, 1 the other one, 1 are"
        " within chance here, and 2 have too few runs to tell."
    ]
    table, figure = contrast_items(experiment, contrasts)
    assert table.name == figure.name == "mine-differences"
    column = table.columns.index("as in the book?")
    assert [row[column] for row in table.rows][-1] == "the book has none"
    assert [row[-1] for row in table.rows] == [*["+0.100"] * 5, "–"]


def test_a_grid_without_a_reference_has_no_column_of_it(experiment, monkeypatch):
    monkeypatch.setattr("accord.experiments.contrasts.task_difference", compared)
    group = Group("one", [])
    rows = {label: Row(label, {"up": group}, group) for label in ("one", "other")}
    plain = Experiment(
        "mine", experiment.spec.model_copy(update={"reference": None}), [], experiment.rows, {}
    )
    contrasts, refused = planned(plain, {**rows, "gone": Row("gone", {}, None)})
    table, _ = contrast_items(plain, contrasts)
    assert "as in the book?" not in table.columns
    assert (refused, agreement_note(plain, contrasts)) == ([], [])
    assert planned(plain, dict.fromkeys(rows, Row("", {}, None)) | {"gone": rows["one"]})[0] == []
