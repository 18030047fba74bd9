"""What `accord compare` says of runs: verdicts, and what has to be known beside them."""

import json
import re
import shutil

import numpy as np
import pytest
from edited_runs import ALONE, SELECTION, heldout, reconfigured, relabelled
from scipy import stats

from accord.comparison.differences import task_difference
from accord.comparison.exposure import exposure_notes
from accord.comparison.family import compare_groups
from accord.comparison.group import group_runs
from accord.errors import RunFolderError
from accord.report.record import read_run


@pytest.mark.slow
def test_unequal_exposure_is_said_loudly_wherever_it_is_read(
    compared, project, train, tmp_path, accord_cli
):
    """One pass an epoch alone, as a config of one task has it, against two passes together."""
    out, _ = compared
    once = train(project({"training.epochs": 1}, ("near",)), tmp_path / "once")
    both = out / "cells" / "mood+near,seed=3"
    start = "NOT LIKE FOR LIKE: near had 9 examples alone and 18 in "
    answer = accord_cli("compare", once, both, "--report", tmp_path / "report")
    (line,) = [splitline for splitline in answer.out.splitlines() if splitline.startswith(start)]
    assert "(2.0 times as many); the difference may come from exposure" in line
    report = (tmp_path / "report" / "report.md").read_text()
    assert line in report
    assert "beware, exposure was not equal: near had 9 examples alone and 18 in " in report
    shown = json.loads(accord_cli("compare", once, both, "--json").out)
    assert line in shown["sharing_notes"]
    as_much = out / "cells" / "near,examples=18,seed=3"
    shown = json.loads(accord_cli("compare", once, as_much, both, "--json").out)
    assert shown["sharing"][0]["examples_alone"] == 18  # the nearer one counts
    assert shown["sharing"][0]["also_differ_in"] == []
    (note,) = shown["sharing_notes"]
    assert note.startswith("mood: not compared in ")
    assert note.endswith("no run was trained on it alone.")


def test_what_shows_more_of_a_task_is_said_once(compared, tmp_path):
    """A copy whose results say that it was shown less, or as much: by its exposure alone."""
    out, _ = compared
    both = read_run(out / "cells" / "mood+near,seed=3")
    for examples, notes in ((18, 0), (9, 1)):
        copy = shutil.copytree(out / "cells" / "near,examples=18,seed=3", tmp_path / f"{examples}")
        results = json.loads((copy / "results.json").read_text())
        results["exposure"]["near"]["examples"] = examples
        (copy / "results.json").write_text(json.dumps(results))
        (ours,) = compare_groups(group_runs([read_run(copy), both])).sharing
        assert ours.differing == ()
        assert len(exposure_notes([ours])) == notes


def test_runs_of_other_seeds_count_without_a_pair(compared, accord_cli):
    out, _ = compared
    cells = out / "cells"
    runs = [cells / ALONE, cells / "mood,examples=22,seed=4", cells / "mood+near,seed=4"]
    answer = accord_cli("compare", *runs, "--json")
    (ours,) = json.loads(answer.out)["sharing"]
    assert (ours["runs"], ours["pairs"], ours["verdict"]) == ([1, 2], 1, "one run each")
    missing, line = json.loads(answer.out)["sharing_notes"]
    assert missing == ("near: not compared in mood+near,seed=4: no run was trained on it alone.")
    assert "mood+near,seed=4 has 1 run, mood,examples=22 has 2; 1 pair of the same seed." in line
    text = accord_cli("compare", *runs).out
    assert line in text
    assert "One run each: intervals are over the rows alone, at 95 %" in text


def test_one_run_each_is_no_verdict_but_has_an_interval(compared, accord_cli, tmp_path):
    out, _ = compared

    def perfect(task, rows, results):
        for row in rows:
            row["prediction"] = row["label"]

    alone = relabelled(out / "cells" / ALONE, tmp_path / "alone", perfect)
    runs = [alone, out / "cells" / "mood+near,seed=3"]
    (mine,) = json.loads(accord_cli("compare", *runs, "--json").out)["sharing"]
    ours, theirs = (
        [row["label"] == row["prediction"] for row in heldout(run, "mood")] for run in runs[::-1]
    )
    d = np.array(ours, float) - np.array(theirs, float)
    width = stats.t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d))
    assert (mine["low"], mine["high"]) == pytest.approx((d.mean() - width, d.mean() + width))
    assert (mine["p_adjusted"], mine["kind"]) == (None, "one run each")


def test_two_shared_models_of_two_tasks_are_four_comparisons(compared, accord_cli, tmp_path):
    out, _ = compared

    copies = [
        reconfigured(out / "cells" / f"mood+near,seed={seed}", tmp_path / f"pcgrad/{seed}",
                     training={"gradients": "pcgrad"})
        for seed in (3, 4)
    ]  # fmt: skip
    answer = accord_cli("compare", *(out / "cells").iterdir(), *copies, "--json")
    assert answer.code == 0, answer.err
    shown = json.loads(answer.out)["sharing"]
    assert len(shown) == 4
    assert len({each["shared_model"] for each in shown}) == 2
    assert {round(each["level"], 6) for each in shown} == {0.9875}
    for each in shown:
        assert (each["low"] > 0 or each["high"] < 0) == (each["p_adjusted"] < 0.05)
    text = accord_cli("compare", *(out / "cells").iterdir(), *copies).out
    for line in (splitline for splitline in text.splitlines() if ": learnt nothing: " in splitline):
        assert " in " in line.split(":")[0]  # which of the two


def test_a_copy_predicts_the_same(compared, accord_cli, tmp_path):
    """Made good first, as the same constant answers would be 'learnt nothing'; by two seeds, as
    one run of each has no verdict."""
    out, _ = compared

    def perfect(task, rows, results):
        for row in rows:
            row["prediction"] = row["label"]
        results["heldout"][task]["value"] = 1.0

    names = (ALONE, "mood+near,seed=3", ALONE.replace("=3", "=4"), "mood+near,seed=4")
    runs = [relabelled(out / "cells" / name, tmp_path / name, perfect) for name in names]
    shown = json.loads(accord_cli("compare", *runs, "--json").out)["sharing"][0]
    assert (shown["kind"], shown["value"], shown["low"], shown["high"]) == ("identical", 0, 0, 0)
    assert "mood: identical: every run predicts the same" in accord_cli("compare", *runs).out
    shown = json.loads(accord_cli("compare", *runs[:2], "--json").out)["sharing"][0]
    assert shown["kind"] == "one run each"


def test_sides_that_are_no_better_than_a_constant_have_learnt_nothing(
    compared, accord_cli, tmp_path
):
    out, _ = compared

    def constant(task, rows, results):
        if task == "mood":
            for i, row in enumerate(rows):
                row["prediction"] = "neg" if i else "mixed"
            right = [row["label"] == row["prediction"] for row in rows]
            results["heldout"][task]["value"] = sum(right) / len(right)

    runs = [relabelled(run, tmp_path / run.name, constant) for run in (out / "cells").iterdir()]
    shown = json.loads(accord_cli("compare", *runs, "--json").out)["sharing"]
    assert shown[0]["kind"] == "learnt nothing"
    assert shown[0]["constant"] == pytest.approx(3 / 9)  # three labels, three rows each
    answer = accord_cli("compare", *runs).out
    assert re.search(r"^mood.*: learnt nothing: neither side is shown to be better", answer, re.M)


def test_the_margin_is_an_option_s_or_the_config_s(compared, accord_cli, tmp_path):
    out, _ = compared
    runs = sorted((out / "cells").iterdir())
    assert json.loads(accord_cli("compare", *runs, "--json").out)["margin"] is None
    wide = json.loads(accord_cli("compare", *runs, "--margin", 5000, "--json").out)
    assert wide["margin"] == 50
    copies = []
    for run, points in zip(runs, (1, 2, 2, 2, 2, 2), strict=True):
        copies.append(reconfigured(run, tmp_path / run.name, comparison={"margin": points}))
    same = json.loads(accord_cli("compare", *copies[1:], "--json").out)
    assert same["margin"] == pytest.approx(0.02)
    refused = accord_cli("compare", *copies)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "margins of 1, 2 points: choose by --margin" in refused.err
    assert json.loads(accord_cli("compare", *copies, "--margin", 3, "--json").out)["margin"] == 0.03


@pytest.mark.slow
def test_what_was_tuned_on_dev_is_said_loudly_unless_test_judges(
    compared, project, train, tmp_path, accord_cli
):
    tuned = project({"training.epochs": 1}, ("mood",))
    tuned.write_text(tuned.read_text() + SELECTION)
    run = train(tuned, tmp_path / "tuned")
    (line,) = [
        splitline
        for splitline in accord_cli("compare", run).out.splitlines()
        if "CHOSEN" in splitline
    ]
    assert line.startswith("CHOSEN ON THESE ROWS: the settings of tuned are the best of 12 that")
    assert line in json.loads(accord_cli("compare", run, "--json").out)["notes"]
    # The same run with a labelled test file.
    test = tuned.parent / "mood-test.csv"  # rows that stand in neither dev nor train
    rows = (f"t{i},{'stale ' * i}road,{label}" for i, label in enumerate(["neg", "pos"] * 5, 1))
    test.write_text("\n".join(["id,text,mood", *rows]) + "\n")
    fair = train(tuned, tmp_path / "fair")
    shown = accord_cli("compare", fair)
    assert "CHOSEN" not in shown.out
    assert "the labelled test files (mood 10 rows)" in shown.out


def test_runs_evaluated_on_other_rows_are_not_compared(compared, tmp_path, accord_cli):
    out, _ = compared

    def renamed(task, rows, results):
        rows[0]["id"] = "x0"

    def of_test(task, rows, results):
        results["heldout"][task]["on"] = "test"

    both = out / "cells" / "mood+near,seed=3"
    for name, edit in (("renamed", renamed), ("test", of_test)):
        other = relabelled(out / "cells" / ALONE, tmp_path / name, edit)
        groups = [group_runs([read_run(path)])[0] for path in (both, other)]
        with pytest.raises(RunFolderError, match="evaluated on different rows of 'mood'"):
            task_difference("mood", *groups)
        answer = accord_cli("compare", both, other)
        assert answer.code == 0, answer.err
        (line,) = re.findall("mood: not compared in .*", answer.out)
        assert "evaluated on different rows of 'mood'" in line
        assert "Was sharing worth it?" not in answer.out
    assert "(dev, cross-fitted, 9 rows; test, 9 rows)" in line


def test_groups_that_were_evaluated_on_different_rows_are_named(
    compared, project, train, tmp_path, accord_cli
):
    out, _ = compared
    changes = {"training.epochs": 1, "tasks.mood.limit": 6}
    other = train(project(changes, ("mood",)), tmp_path / "run")
    answer = accord_cli("compare", out / "cells" / ALONE, other)
    note = rf"mood: figures of different rows, not to be compared: \S*{ALONE} / \S*run\."
    assert re.search(note, answer.out)
    assert "different rows" not in accord_cli("compare", *(out / "cells").iterdir()).out
