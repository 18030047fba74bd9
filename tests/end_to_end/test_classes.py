"""What a run says of single classes: in results.json, on stdout and in reports."""

import csv
import json

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from accord.cli.comparisons import compared as comparison_of
from accord.comparison.class_tables import class_sections
from accord.config.file import load_config
from accord.grids.running import grid_groups
from accord.plan.making import plan_run
from accord.training.setup import prepare

BOTH_ACT = "tasks.mood.draw: 'balanced' shows every class as often, and class_weights ="
MOODS = ["neg", "mixed", "pos"]


def expected(file):
    """Figures of the rows of a file of predictions, by scikit-learn."""
    with file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    pairs = [row["label"] for row in rows], [row["prediction"] for row in rows]
    figures = precision_recall_fscore_support(*pairs, labels=MOODS, zero_division=0)
    names = ("precision", "recall", "f1", "support")
    return {label: dict(zip(names, each, strict=True))
            for label, each in zip(MOODS, zip(*figures, strict=True), strict=True)}  # fmt: skip


def results_of(run):
    return json.loads((run / "results.json").read_text())


def assert_alike(ours, other):
    assert list(ours) == MOODS
    for label in MOODS:
        assert ours[label] == pytest.approx(other[label])


def test_results_have_them_of_dev_and_of_held_out_rows(project, train, tmp_path):
    """Of dev at the saved epoch, cross-fitted, and of a labelled test file."""
    config = project({"training.epochs": 2, "training.steps_per_epoch": 3}, ("mood", "near"))
    test = config.parent / "mood-test.csv"
    head, *rows = test.read_text().splitlines()
    labelled = [f"{row},{MOODS[i % 2]}" for i, row in enumerate(rows)]
    for labels in (False, True):
        if labels:
            test.write_text("\n".join([f"{head},mood", *labelled]) + "\n")
        run = train(config, tmp_path / f"run-{labels}")
        heldout = results_of(run)["heldout"]
        tables = heldout["mood"]["by_class"]
        assert set(tables) == {"dev", "crossfit", *(["test"] if labels else [])}
        assert "by_class" not in heldout["near"]
        files = run / "predictions"
        assert_alike(tables["dev"]["classes"], expected(files / "mood-dev.csv"))
        name = "test" if labels else "crossfit"
        assert_alike(tables[name]["classes"], expected(files / "mood-heldout.csv"))
        assert sum(n for row in tables[name]["confusion"].values() for n in row.values()) == (
            12 if labels else 9
        )


def test_stdout_shows_the_worst_first_and_how_many_are_left(finished, accord_cli, tmp_path):
    plain = accord_cli("evaluate", finished)
    answer = accord_cli("evaluate", finished, "--classes")
    assert answer.out.startswith(plain.out)
    lines = answer.out.removeprefix(plain.out).splitlines()
    assert "mood: its classes, by F1" in lines
    assert "same: its classes, by F1" in lines
    assert not any("near" in line for line in lines)
    table = json.loads(accord_cli("evaluate", finished, "--classes", "--json").out)
    assert "by_class" not in table["near"]
    dev = results_of(finished)["heldout"]["mood"]["by_class"]["dev"]
    assert table["mood"]["by_class"] == dev
    order = sorted(MOODS, key=lambda label: dev["classes"][label]["f1"])
    starts = [line.split()[0] for line in lines if line.split()[:1] and line.split()[0] in MOODS]
    assert starts == order
    refused = accord_cli("evaluate", finished, "--classes", "--task", "near")
    assert (refused.code, refused.err) == (2, "accord: --classes: near: no such task has classes\n")


def test_many_classes_are_counted(capsys):
    from accord.cli.classes import show_classes
    from accord.metrics import ByClass

    labels = [f"c{i}" for i in range(150)]
    targets = np.arange(300) % 150
    show_classes("intent", ByClass.of(labels, targets, np.where(targets < 9, 149, targets)))
    out = capsys.readouterr().out
    assert "130 classes with a better F1 are not shown; --json has all." in out
    assert "intent: taken for another most often: 'c0' for 'c149' 2, 'c1' for" in out
    assert all(f"\n c{i} " in out or f"\nc{i} " in out for i in range(9))
    show_classes("intent", ByClass.of(labels, targets[:40], targets[:40] * 0))
    out = capsys.readouterr().out
    assert "130 classes with a better F1 or without rows are not shown; --json has all." in out


@pytest.mark.slow
def test_a_report_compares_groups_class_by_class(compared):
    (section,) = class_sections(comparison_of(grid_groups(compared[0]), None).groups)
    (table,) = section.items
    assert table.name == "f1-by-class-mood"
    assert {row[0] for row in table.rows} == set(MOODS)
    assert len(table.columns) == 4  # together and alone


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"training.batching": "temperature"}, {"training.batching": "proportional"},
        {"tasks.mood.dev": None, "training.dev_share": 0.2}, {"encoder.mode": "frozen"},
    ],
)  # fmt: skip
def test_rows_that_are_drawn_are_of_every_class_equally_often(project, changes):
    """Of the training rows as they are, those without the rows that are dev."""
    config = project({"tasks.mood.draw": "balanced", "training.epochs": 12, **changes})
    with (config.parent / "mood-train.csv").open("a") as file:
        file.writelines(f"x{i},{'a ' * (i % 9)}film,neg\n" for i in range(60))
    setup = prepare(plan_run(load_config(config)).only)
    steps = setup.total_steps
    drawn = np.concatenate([setup.sampler.draw(step)[0] for step in range(steps)])
    counts = np.bincount(setup.data.train[0].labels[drawn], minlength=3)
    assert counts.sum() == setup.sampler.examples(12)[0]
    assert counts.max() - counts.min() <= 1
    plain = prepare(plan_run(load_config(config, ["tasks.mood.draw=shuffled"])).only)
    assert plain.sampler.examples(12) == setup.sampler.examples(12)
    assert plain.fingerprint != setup.fingerprint


@pytest.mark.slow
def test_a_run_in_stages_with_a_memory_draws_them_as_they_are(staged_project, accord_cli, tmp_path):
    """A finished task's memory is drawn as the memory says, whatever its task says."""
    memory = """
[memory]
method = "replay"
size = 6

[[stages]]
tasks = ["mood"]

[[stages]]
tasks = ["same"]
"""
    changes = {"tasks.mood.draw": "balanced", "tasks.same.draw": "balanced",
               "tasks.mood.class_weights": "balanced"}  # fmt: skip
    config = staged_project(memory, changes, ("mood", "same"))
    answer = accord_cli("train", config, "--out", tmp_path / "run")
    assert answer.code == 0, answer.err
    assert answer.err.count(BOTH_ACT) == 1


@pytest.mark.parametrize("draw", ["balanced", "shuffled"])
@pytest.mark.parametrize("weights", ["balanced", {"neg": 3}, None])
def test_who_balances_twice_is_warned(project, accord_cli, draw, weights):
    answer = accord_cli(
        "check", project({"tasks.mood.draw": draw, **(
            {"tasks.mood.class_weights": weights} if weights else {})})
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert (BOTH_ACT in answer.err) is (draw == weights == "balanced")
