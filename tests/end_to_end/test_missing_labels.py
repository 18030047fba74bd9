"""Rows without a label, from `accord check` to `accord evaluate`."""

import json
import re

import pytest

import accord
from accord.evaluation.evaluate import evaluate_run, run_of

UNLABELLED = ["u1,a dull road,-1", "u2,the warm song,", "u3,,-1.0"]


@pytest.fixture
def partly_labelled(project):
    """Write a project whose files have rows without a label: (changes)."""

    def make(changes):
        config = project({"training.epochs": 1, **changes}, ("mood",))
        for split in ("train", "dev"):
            with (config.parent / f"mood-{split}.csv").open("a", encoding="utf-8") as file:
                file.write("\n".join(UNLABELLED) + "\n")
        rows = [f"t{i},a very fine film {i},{label}" for i, label in enumerate(["pos", "neg"] * 3)]
        test = ["id,text,mood", *rows, *UNLABELLED]
        (config.parent / "mood-test.csv").write_text("\n".join(test) + "\n", encoding="utf-8")
        return config

    return make


def test_they_are_left_out_and_counted(partly_labelled, accord_cli, tmp_path):
    config = partly_labelled({"tasks.mood.missing": [-1, ""]})
    notes = [
        f"{rows} rows of {config.parent / name} have no label (missing): left out"
        for rows, name in ((3, "mood-train.csv"), (3, "mood-dev.csv"), (3, "mood-test.csv"))
    ]
    checked = accord_cli("check", config)
    assert checked.code == 0
    assert all(note in checked.out for note in notes)
    splits = json.loads(accord_cli("check", config, "--json").out)["tasks"][0]["splits"]
    assert [split["rows"] for split in splits] == [22, 9, 9]
    assert splits[2]["labels"] == {"neg": 3, "mixed": 0, "pos": 3}
    run = tmp_path / "run"
    trained = accord_cli("train", config, "--out", run)
    assert trained.code == 0, trained.err
    assert all(f"mood: {note}" in trained.err for note in notes)
    with pytest.warns(UserWarning, match=re.escape(notes[1])):
        figures = evaluate_run(run, run_of(run)).tasks["mood"].figures
    with pytest.warns(UserWarning, match=re.escape(notes[1])):
        alone = accord.load(run).evaluate_file("mood", config.parent / "mood-dev.csv")
    assert alone.figures == pytest.approx(figures, rel=1e-6)


@pytest.mark.parametrize("command", ["check", "train"])
@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ([], "mood-train.csv:24: mood: '-1' stands for a hidden label"),
        ([-1], "mood-train.csv:25: 'mood' is empty: no label (missing = [\"\"] would"),
    ],
)
def test_or_stop_with_the_cure(partly_labelled, accord_cli, tmp_path, command, missing, said):
    config = partly_labelled({"tasks.mood.missing": missing})
    answer = accord_cli(command, config, *["--out", tmp_path / "run"] * (command == "train"))
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert said in answer.err


def test_dev_files_of_hidden_labels_alone_are_refused(project, accord_cli):
    config = project({"tasks.mood.missing": ["-1"]}, ("mood",))
    dev = config.parent / "mood-dev.csv"
    dev.write_text("id,text,mood\n" + "".join(f"d{i},a film,-1\n" for i in range(4)))
    answer = accord_cli("check", config)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "mood-dev.csv (task 'mood'): none of 4 rows has a label" in answer.err


def test_classes_that_look_alike_are_said_by_check_and_train(project, accord_cli, tmp_path):
    config = project(
        {"training.epochs": 1, "tasks.mood.labels": ["neg", "mixed", "pos", "Pos", "new"]},
        ("mood",),
    )
    for split in ("train", "dev"):
        with (config.parent / f"mood-{split}.csv").open("a", encoding="utf-8") as file:
            file.write("x1,the fine road,Pos\n" + "x2,the new road,new\n" * (split == "dev"))
    said = [
        "labels 'pos' (10 rows) and 'Pos' (2 rows) differ in case or spaces alone",
        "mood-dev.csv:12: label 'new' stands in no training row, but in 1 dev row",
    ]
    for command in (["check", config], ["train", config, "--out", tmp_path / "run"]):
        answer = accord_cli(*command)
        assert answer.code == 0, answer.err
        assert all(words in answer.err for words in said)
