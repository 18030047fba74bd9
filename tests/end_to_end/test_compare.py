"""`accord compare`: what is missing is trained, and the answer is a table."""

import json
import re

import pytest

from accord.compare import group_difference, group_runs, sharing
from accord.config.file import load_config
from accord.errors import RunFolderError, UsageError
from accord.grids.comparison import comparison_cells
from accord.judging.metrics import METRICS
from accord.report.record import read_run

ALONE = "mood,examples=22,seed=3"


@pytest.fixture(scope="module")
def compared(make_project, tmp_path_factory):
    """The folder of a comparison of two tasks with two seeds, and its config."""
    from accord.grids.running import run_grid

    folder = tmp_path_factory.mktemp("compared")
    config = make_project(folder / "project", {"training.epochs": 1}, ("mood", "near"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCORD_CACHE", str(folder / "cache"))
        run_grid(comparison_cells(load_config(config), 2, "test"), folder / "out")
    return folder / "out", config


def test_a_config_s_missing_runs_are_trained_and_compared(compared, accord_cli):
    out, config = compared
    answer = accord_cli("compare", config, "--out", out, "--seeds", 2, "--json")
    assert answer.code == 0, answer.err
    assert answer.err.count(": found") == 6
    shown = json.loads(answer.out)
    names = ["mood,examples=22", "near,examples=18", "mood+near"]
    assert [own["name"] for own in shown["groups"]] == names
    assert [own["seeds"] for own in shown["groups"]] == [[3, 4]] * 3
    (mood, near) = shown["sharing"]
    assert (mood["task"], near["task"]) == ("mood", "near")
    assert mood["value"] == pytest.approx(mood["together"] - mood["alone"])
    assert mood["low"] <= mood["value"] <= mood["high"]
    assert mood["verdict"] == "not enough runs"
    assert mood["examples_alone"] == mood["examples_together"] == 22
    assert near["examples_alone"] == near["examples_together"] == 18  # two passes over 9 rows
    assert shown["exposure_notes"] == []
    answer = accord_cli("compare", config, "--out", out, "--seeds", 2, "--quiet")
    assert "Was sharing worth it?" in answer.out
    assert "A verdict takes 5 runs of each." in answer.out
    plan = accord_cli("compare", config, "--out", out, "--seeds", 3, "--dry-run")
    assert "9 cells, 3 to run" in plan.out


def test_of_runs_that_saw_unlike_amounts_that_is_said_loudly(
    compared, project, train, tmp_path, accord_cli
):
    """One pass an epoch alone, as a config of one task has it, against two passes together."""
    out, _ = compared
    once = train(project({"training.epochs": 1}, ("near",)), tmp_path / "once")
    both = out / "cells" / "mood+near,seed=3"
    line = "NOT LIKE FOR LIKE: near had 9 examples alone and 18 together (2.0 times as many);"
    assert line in accord_cli("compare", once, both).out
    as_much = out / "cells" / "near,examples=18,seed=3"
    answer = accord_cli("compare", once, as_much, both, "--json")
    shown = json.loads(answer.out)
    assert shown["sharing"][0]["examples_alone"] == 18
    assert shown["exposure_notes"] == []


def test_run_folders_are_grouped_by_what_differs_beside_the_seed(compared, accord_cli):
    out, _ = compared
    paths = sorted((out / "cells").iterdir())
    groups = group_runs([read_run(path) for path in paths])
    assert [len(group.runs) for group in groups] == [2, 2, 2]
    assert [group.tasks for group in groups] == [("mood", "near"), ("mood",), ("near",)]
    assert "Was sharing worth it?" in accord_cli("compare", *paths).out
    one = accord_cli("compare", paths[0])
    assert one.code == 0
    assert "Was sharing" not in one.out


def test_a_difference_is_paired_by_seed_and_is_that_of_the_results(compared):
    out, _ = compared
    runs = [read_run(path) for path in sorted((out / "cells").iterdir())]
    for own in sharing(group_runs(runs)):
        together, alone = own.together.values(own.task), own.alone.values(own.task)
        gains = [a - b for a, b in zip(together, alone, strict=True)]
        assert own.difference.value == pytest.approx(sum(gains) / 2, abs=1e-9)
        assert own.difference.seeds == 2


def test_dev_predictions_give_the_metric_again(compared):
    out, _ = compared
    for path in (out / "cells").iterdir():
        run = read_run(path)
        for name, task in run.tasks.items():
            own = run.predictions(name)
            value = METRICS[task.metric](own.predicted, own.labels)
            assert value == pytest.approx(run.metrics[name], abs=1e-9)


def test_runs_judged_on_other_dev_rows_are_not_compared(compared, tmp_path):
    import shutil

    out, _ = compared
    shutil.copytree(out / "cells" / ALONE, tmp_path / "other")
    file = tmp_path / "other" / "predictions" / "mood-dev.csv"
    file.write_text(file.read_text().replace("m0,", "x0,"))
    ours = group_runs([read_run(out / "cells" / ALONE)])[0]
    theirs = group_runs([read_run(tmp_path / "other")])[0]
    with pytest.raises(RunFolderError, match="judged on different dev rows of 'mood'"):
        group_difference("mood", ours, theirs)


def test_wrong_use_is_one_line(compared, accord_cli, project, tmp_path):
    out, config = compared
    run = next((out / "cells").iterdir())
    for arguments, message in (
        (("compare", config), "--out is missing"),
        (("compare", config, run, "--out", tmp_path / "x"), "takes one config or several run"),
        (("compare", run, "--set", "training.epochs=2"), "--set is for a config"),
        (("compare", run, "--seeds", 3), "--seeds is for a config"),
        (("compare", run, "--equal", "steps"), "--equal is for a config"),
        (("compare", run, run), "is given twice"),
        (("compare", tmp_path / "none"), "no such folder"),
    ):
        answer = accord_cli(*arguments)
        assert answer.code == 2, arguments
        assert message in answer.err
        assert answer.err.count("\n") == 1
    with pytest.raises(UsageError, match="has one task; a comparison takes two or more"):
        comparison_cells(load_config(project({}, ("mood",))), 2, "a.toml")


def test_without_dev_files_all_seeds_are_judged_by_the_same_rows(project, accord_cli, tmp_path):
    config = project({"training.epochs": 1}, ("mood", "near"))
    lines = config.read_text().splitlines(keepends=True)
    config.write_text("".join(line for line in lines if not line.startswith("dev =")))
    answer = accord_cli("compare", config, "--out", tmp_path / "out", "--seeds", 2)
    assert answer.code == 0, answer.err
    assert "Was sharing worth it?" in answer.out
    assert "rows of" in answer.err  # how many serve as dev rows


def test_groups_that_were_judged_by_different_rows_are_named(
    compared, project, train, tmp_path, accord_cli
):
    out, _ = compared
    changes = {"training.epochs": 1, "tasks.mood.limit": 6}
    other = train(project(changes, ("mood",)), tmp_path / "run")
    answer = accord_cli("compare", out / "cells" / ALONE, other)
    note = rf"mood: these were judged by different dev rows: \S+{ALONE} / \S+run"
    assert re.search(note, answer.out)
    assert "different dev rows" not in accord_cli("compare", *(out / "cells").iterdir()).out
