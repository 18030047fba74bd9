"""Which rows of a labelled test file are held out, and why others are not."""

import csv
import json

import numpy as np
import pytest
from heldout_by_hand import LIVELY, by_hand, results_of, rows_of

from accord.report.record import read_run


def label_test_rows(config, labels):
    """Give the project's file of test rows labels."""
    file = config.parent / "mood-test.csv"
    header, *lines = file.read_text().splitlines()
    lines = [f"{line},{labels[i % len(labels)]}" for i, line in enumerate(lines)]
    file.write_text("\n".join([f"{header},mood", *lines]) + "\n")


def test_test_rows_with_labels_are_held_out(project, train, tmp_path, accord_cli):
    config = project(LIVELY)
    label_test_rows(config, ["neg", "pos", "mixed", "neg"])
    checked = accord_cli("check", config)
    assert "neg: 6, mixed: 3, pos: 3" in checked.out
    run = train(config, tmp_path / "run")
    results, rows = results_of(run), rows_of(run, "mood")
    own, (_, values) = results["heldout"]["mood"], by_hand(run)
    assert (own["on"], own["rows"], own["epochs"]) == ("test", 12, [results["best_epoch"]])
    assert own["value"] == np.mean([row["label"] == row["prediction"] for row in rows])
    assert own["crossfit"] == pytest.approx(values["mood"])
    assert {(row["half"], row["epoch"]) for row in rows} == {("0", str(results["best_epoch"]))}
    plain = list(csv.DictReader((run / "predictions" / "mood-test.csv").read_text().splitlines()))
    assert [row["prediction"] for row in rows] == [row["prediction"] for row in plain]
    assert "label" not in plain[0]
    assert results["heldout"]["near"]["on"] == "dev, cross-fitted"
    record = read_run(run)
    assert record.heldout("mood").on == "test"
    assert record.heldout_content("mood") != record.contents.data("mood", "dev")
    before = json.loads((run / "resolved.json").read_text())["data"]["mood.test labels"]
    file = config.parent / "mood-test.csv"
    file.write_text(file.read_text().replace(",neg\n", ",mixed\n", 1))
    config.write_text(config.read_text().replace("epochs = 5", "epochs = 1"))
    again = train(config, tmp_path / "again")
    assert json.loads((again / "resolved.json").read_text())["data"]["mood.test labels"] != before


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ([""], None),
        (["-1"], None),
        (["pos"], "every row's label is 'pos'"),
        (
            ["pos", "", "neg", "neg"],
            "3 of 12 rows have no label, the first in line 3"
            ' (missing = [""] would leave such rows out)',
        ),
        (["pos", "negative"], "line 3: mood: unknown label 'negative'; allowed: neg, mixed, pos"),
    ],
)
def test_test_rows_without_labels_that_can_be_used(project, accord_cli, tmp_path, labels, reason):
    config = project({"training.epochs": 1, "training.steps_per_epoch": 1}, ("mood",))
    label_test_rows(config, labels)
    answer = accord_cli("train", config, "--out", tmp_path / "run")
    assert answer.code == 0, answer.err
    said = [line for line in answer.err.splitlines() if "not used" in line]
    line = (
        f"warning: {config.parent / 'mood-test.csv'}: its labels are not used: {reason};"
        " dev is cross-fitted instead"
    )
    assert said == ([] if reason is None else [line])
    assert results_of(tmp_path / "run")["heldout"]["mood"]["on"] == "dev, cross-fitted"
    assert (line in accord_cli("check", config).err.splitlines()) == (reason is not None)


def write_test_rows(config, *parts):
    """Make the project's labelled test rows of some of its other rows: (split, first, last)."""
    lines = []
    for split, first, last in parts:
        lines += (config.parent / f"mood-{split}.csv").read_text().splitlines()[first:last]
    header = (config.parent / "mood-dev.csv").read_text().splitlines()[0]
    (config.parent / "mood-test.csv").write_text("\n".join([header, *lines]) + "\n")


def lines_of(config, split):
    return (config.parent / f"mood-{split}.csv").read_text().splitlines()[1:]


def test_test_rows_that_stand_in_dev_are_left_out(project, accord_cli, tmp_path):
    """They chose the epoch. What stands in train stays, and is said."""
    config = project({"training.epochs": 2}, ("mood",))
    new = ["n1,a grim old road,neg", "n2,very lovely with a warm song,pos"]
    write_test_rows(config, ("dev", 1, 4), ("train", 1, 6))
    file = config.parent / "mood-test.csv"
    file.write_text(file.read_text() + "\n".join(new) + "\n")
    texts = {split: {line.split(",")[1] for line in lines_of(config, split)}
             for split in ("train", "dev")}  # fmt: skip
    rows = [line.split(",") for line in lines_of(config, "test")]
    kept = [row for row in rows if row[1] not in texts["dev"]]
    seen = sum(row[1] in texts["train"] for row in rows)
    assert len(rows) == 10
    assert len(kept) <= 7
    assert seen >= 5
    lines = [
        f"warning: {file}: {len(rows) - len(kept)} of its 10 test rows stand in the dev rows, which"
        " choose the model: left out; take them out of either",
        f"warning: {file}: {seen} of its 10 test rows stand in the training rows: figures of them"
        " are too good; take them out of either",
    ]
    checked = accord_cli("check", config)
    answer = accord_cli("train", config, "--out", tmp_path / "run")
    assert answer.code == 0, answer.err
    for line in lines:
        assert line in checked.err.splitlines()
        assert line in answer.err.splitlines()
    own = results_of(tmp_path / "run")["heldout"]["mood"]
    assert (own["on"], own["rows"]) == ("test", len(kept))
    evaluated = rows_of(tmp_path / "run", "mood")
    assert [[row["id"], row["label"]] for row in evaluated] == [[row[0], row[2]] for row in kept]
    assert own["value"] == np.mean([row["label"] == row["prediction"] for row in evaluated])
    file = tmp_path / "run" / "predictions" / "mood-test.csv"
    whole = [row["prediction"] for row in csv.DictReader(file.read_text().splitlines())]
    wanted = [own for own, row in zip(whole, rows, strict=True) if row in kept]
    assert [row["prediction"] for row in evaluated] == wanted


@pytest.mark.quick("all")
@pytest.mark.parametrize(("rest", "reason"), [
    ([], "{n} of its {n} rows stand in the dev rows"),
    (["n1,a grim old road,neg"],
     "{n} of its {m} rows stand in the dev rows, and all others have one label"),
], ids=["all", "one label is left"])  # fmt: skip
def test_a_test_file_that_is_the_dev_file_is_not_held_out(
    project, accord_cli, tmp_path, rest, reason
):
    config = project({"training.epochs": 2, "training.lr": 3e-3}, ("mood",))
    write_test_rows(config, ("dev", 1, None))
    file = config.parent / "mood-test.csv"
    n = len(lines_of(config, "test"))
    file.write_text(file.read_text() + "".join(f"{line}\n" for line in rest))
    line = f"warning: {file}: its labels are not used: {reason.format(n=n, m=n + 1)}; dev is cross"
    assert line in accord_cli("check", config).err
    answer = accord_cli("train", config, "--out", tmp_path / "run")
    assert answer.code == 0, answer.err
    assert line in answer.err
    own = results_of(tmp_path / "run")["heldout"]["mood"]
    assert (own["on"], own["rows"]) == ("dev, cross-fitted", n)
