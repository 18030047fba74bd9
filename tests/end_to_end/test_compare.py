"""`accord compare`: what is missing is trained, and the answer is a table and a report."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
from scipy import stats

from accord.comparison.differences import task_difference
from accord.comparison.group import group_runs
from accord.comparison.sharing import sharing
from accord.config.file import load_config
from accord.errors import RunFolderError, UsageError
from accord.grids.comparison import comparison_cells
from accord.grids.running import grid_groups, run_grid
from accord.judging.metrics import METRICS
from accord.report.exposure import exposure_notes
from accord.report.record import read_run

ALONE = "mood,examples=22,seed=3"
SELECTION = '\n[selection]\nby = "accord tune"\ncandidates = 12\n'


@pytest.fixture(scope="module")
def compared(make_project, tmp_path_factory):
    """The folder of a comparison of two tasks with two seeds, and its config."""
    folder = tmp_path_factory.mktemp("compared")
    config = make_project(folder / "project", {"training.epochs": 1}, ("mood", "near"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCORD_CACHE", str(folder / "cache"))
        run_grid(comparison_cells(load_config(config), 2, "test"), folder / "out")
    return folder / "out", config


def heldout(run, task):
    """A run's held-out rows, read with the csv module alone."""
    file = run / "predictions" / f"{task}-heldout.csv"
    return list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))


def relabelled(source, out, edit):
    """Copy a run folder and edit its held-out files' rows and its results."""
    shutil.copytree(source, out)
    results = json.loads((out / "results.json").read_text())
    for file in (out / "predictions").glob("*-heldout.csv"):
        rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
        edit(file.stem.removesuffix("-heldout"), rows, results)
        with file.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    (out / "results.json").write_text(json.dumps(results))
    return out


def reconfigured(source, out, **sections):
    """Copy a run folder as if its config had had other keys."""
    shutil.copytree(source, out)
    resolved = json.loads((out / "resolved.json").read_text())
    for name, keys in sections.items():
        resolved["config"][name] = {**(resolved["config"].get(name) or {}), **keys}
    (out / "resolved.json").write_text(json.dumps(resolved))
    return out


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
    for own in (mood, near):
        assert own["value"] == pytest.approx(own["together"] - own["alone"])
        assert own["low"] <= own["value"] <= own["high"]
        assert (own["judged_on"], own["runs"], own["pairs"]) == ("dev, cross-fitted", [2, 2], 2)
        assert own["level"] == pytest.approx(1 - 0.05 / 2)
        assert (own["kind"] in ("better", "worse")) == (own["low"] > 0 or own["high"] < 0)
    assert mood["examples_alone"] == mood["examples_together"] == 22
    assert near["examples_alone"] == near["examples_together"] == 18  # two passes over 9 rows
    assert shown["sharing_notes"] == []
    answer = accord_cli("compare", config, "--out", out, "--seeds", 2, "--quiet")
    assert "Was sharing worth it?" in answer.out
    assert "for 2 comparisons, corrected together by Holm's method, at 5 %" in answer.out
    plan = accord_cli("compare", config, "--out", out, "--seeds", 3, "--dry-run")
    assert "9 cells, 3 to run" in plan.out


def test_accuracy_s_difference_is_that_of_the_files(compared):
    """The mean squares of the table of differences, run by row, and Student's quantiles."""
    out, _ = compared
    (own,) = [each for each in sharing(grid_groups(out)) if each.task == "mood"]
    right = [
        np.array([[row["label"] == row["prediction"] for row in heldout(run.path, "mood")]
                  for run in group.runs], dtype=float)
        for group in (own.together, own.alone)
    ]  # fmt: skip
    d = right[0] - right[1]
    seeds, rows = d.shape
    row_means, seed_means = d.mean(0, keepdims=True), d.mean(1, keepdims=True)
    ms_s = rows * seed_means.var(ddof=1)
    ms_r = seeds * row_means.var(ddof=1)
    ms_e = ((d - seed_means - row_means + d.mean()) ** 2).sum() / ((seeds - 1) * (rows - 1))
    v_s, v_r = max(ms_s, 0.03 * ms_e) / d.size, max(ms_r - ms_e, 0) / d.size
    half = (1 + own.verdict.level) / 2
    width = (v_s * stats.t.ppf(half, seeds - 1) + v_r * stats.t.ppf(half, rows - 1)) / np.sqrt(
        v_s + v_r or 1
    )
    assert own.compared.difference.value == pytest.approx(d.mean())
    assert own.verdict.high - own.verdict.low == pytest.approx(2 * width)


def test_a_correlation_s_difference_is_that_of_the_files(compared):
    out, _ = compared

    def within_halves(run):
        rows = heldout(run.path, "near")
        x, y, half = (np.array([float(r[key]) for r in rows])
                      for key in ("label", "prediction", "half"))  # fmt: skip
        return sum(
            (half == h).mean() * stats.pearsonr(x[half == h], y[half == h])[0] for h in (0, 1)
        )

    (own,) = [each for each in sharing(grid_groups(out)) if each.task == "near"]
    means = [np.mean([within_halves(run) for run in g.runs]) for g in (own.together, own.alone)]
    assert own.compared.difference.value == pytest.approx(means[0] - means[1], abs=1e-6)


def test_dev_predictions_give_the_metric_again(compared):
    out, _ = compared
    for path in (out / "cells").iterdir():
        run = read_run(path)
        for name, task in run.tasks.items():
            own = run.predictions(name)
            value = METRICS[task.metric](own.predicted, own.labels)
            assert value == pytest.approx(run.metrics[name], abs=1e-9)


def test_the_report_begins_with_the_answer(compared, accord_cli, tmp_path):
    out, config = compared
    answer = accord_cli("compare", config, "--out", out, "--seeds", 2, "--margin", 0.5,
                        "--formats", "png")  # fmt: skip
    assert answer.code == 0, answer.err
    assert answer.out.splitlines()[-1] == f"report: {out / 'report.html'}"
    for name in ("report.html", "report.md", "tables/answer.csv", "figures/differences.svg",
                 "figures/differences.png", "figures/learning-curves.svg"):  # fmt: skip
        assert (out / name).is_file(), name
    first = (out / "report.md").read_text().split("\n\n")[1]
    assert "sharing" in first
    assert "The margin is 0.5 points" in first
    assert "Alone and together saw equally many examples of each task." in first
    assert first in re.sub(r"\s+", " ", (out / "report.md").read_text().replace("\n\n", " "))
    folder = tmp_path / "report"
    runs = sorted((out / "cells").iterdir())
    again = accord_cli("compare", *runs, "--report", folder, "--margin", 0.5)
    assert again.code == 0, again.err
    assert (folder / "tables" / "answer.csv").read_text() == (
        out / "tables" / "answer.csv"
    ).read_text()


def test_unequal_exposure_is_said_loudly_wherever_it_is_read(
    compared, project, train, tmp_path, accord_cli
):
    """One pass an epoch alone, as a config of one task has it, against two passes together."""
    out, _ = compared
    once = train(project({"training.epochs": 1}, ("near",)), tmp_path / "once")
    both = out / "cells" / "mood+near,seed=3"
    start = "NOT LIKE FOR LIKE: near had 9 examples alone and 18 in "
    answer = accord_cli("compare", once, both, "--report", tmp_path / "report")
    (line,) = [own for own in answer.out.splitlines() if own.startswith(start)]
    assert "(2.0 times as many); the difference may come from exposure" in line
    report = (tmp_path / "report" / "report.md").read_text()
    assert line in report
    assert "beware, exposure was not equal: near saw 18 examples together and 9 alone" in report
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
        (own,) = sharing(group_runs([read_run(copy), both]))
        assert own.differing == ()
        assert len(exposure_notes([own])) == notes


def test_run_folders_are_grouped_and_named_shortly(compared, accord_cli, monkeypatch):
    out, _ = compared
    paths = sorted((out / "cells").iterdir())
    groups = group_runs([read_run(path) for path in paths])
    assert [len(group.runs) for group in groups] == [2, 2, 2]
    assert [group.tasks for group in groups] == [("mood", "near"), ("mood",), ("near",)]
    shown = json.loads(accord_cli("compare", *paths, "--json").out)
    names = ["mood+near", "mood,examples=22", "near,examples=18"]
    assert [own["name"] for own in shown["groups"]] == names
    monkeypatch.chdir(out)
    plain = json.loads(accord_cli("compare", *(f"cells/{p.name}" for p in paths), "--json").out)
    assert [own["name"] for own in plain["groups"]] == names
    one = accord_cli("compare", paths[0])
    assert one.code == 0
    assert "Was sharing" not in one.out


def test_runs_of_other_seeds_count_without_a_pair(compared, accord_cli):
    out, _ = compared
    cells = out / "cells"
    runs = [cells / ALONE, cells / "mood,examples=22,seed=4", cells / "mood+near,seed=4"]
    answer = accord_cli("compare", *runs, "--json")
    (own,) = json.loads(answer.out)["sharing"]
    assert (own["runs"], own["pairs"], own["verdict"]) == ([1, 2], 1, "one run each")
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
    (own,) = json.loads(accord_cli("compare", *runs, "--json").out)["sharing"]
    ours, theirs = (
        [row["label"] == row["prediction"] for row in heldout(run, "mood")] for run in runs[::-1]
    )
    d = np.array(ours, float) - np.array(theirs, float)
    width = stats.t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d))
    assert (own["low"], own["high"]) == pytest.approx((d.mean() - width, d.mean() + width))
    assert (own["p_adjusted"], own["kind"]) == (None, "one run each")


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
    assert len({own["shared_model"] for own in shown}) == 2
    assert {round(own["level"], 6) for own in shown} == {0.9875}
    for own in shown:
        assert (own["low"] > 0 or own["high"] < 0) == (own["p_adjusted"] < 0.05)
    text = accord_cli("compare", *(out / "cells").iterdir(), *copies).out
    for line in (own for own in text.splitlines() if ": learnt nothing: " in own):
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


def test_margin_and_selection_change_no_run(compared, accord_cli, tmp_path):
    """Runs are found again, groups stay whole, and what was tuned on dev is said loudly."""
    out, config = compared
    shutil.copytree(out, tmp_path / "out")
    more = config.with_name("more.toml")
    more.write_text(config.read_text() + SELECTION + "\n[comparison]\nmargin = 1\n")
    answer = accord_cli("compare", more, "--out", tmp_path / "out", "--seeds", 2, "--json")
    assert answer.code == 0, answer.err
    assert answer.err.count(": found") == 6
    shown = json.loads(answer.out)
    assert len(shown["groups"]) == 3
    assert shown["margin"] == 0.01  # the config's, though the runs were begun without
    assert accord_cli("check", more).code == 0


def test_what_was_tuned_on_dev_is_said_loudly_unless_test_judges(
    compared, project, train, tmp_path, accord_cli
):
    tuned = project({"training.epochs": 1}, ("mood",))
    tuned.write_text(tuned.read_text() + SELECTION)
    run = train(tuned, tmp_path / "tuned")
    (line,) = [own for own in accord_cli("compare", run).out.splitlines() if "CHOSEN" in own]
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


def test_runs_judged_on_other_rows_are_not_compared(compared, tmp_path, accord_cli):
    out, _ = compared

    def renamed(task, rows, results):
        rows[0]["id"] = "x0"

    def of_test(task, rows, results):
        results["heldout"][task]["on"] = "test"

    both = out / "cells" / "mood+near,seed=3"
    for name, edit in (("renamed", renamed), ("test", of_test)):
        other = relabelled(out / "cells" / ALONE, tmp_path / name, edit)
        groups = [group_runs([read_run(path)])[0] for path in (both, other)]
        with pytest.raises(RunFolderError, match="judged on different rows of 'mood'"):
            task_difference("mood", *groups)
        answer = accord_cli("compare", both, other)
        assert answer.code == 0, answer.err
        (line,) = re.findall("mood: not compared in .*", answer.out)
        assert "judged on different rows of 'mood'" in line
        assert "Was sharing worth it?" not in answer.out
    assert "(dev, cross-fitted, 9 rows; test, 9 rows)" in line


def test_wrong_use_is_one_line(compared, accord_cli, project, tmp_path):
    out, config = compared
    run = next((out / "cells").iterdir())
    for arguments, message in (
        (("compare", config), "--out is missing"),
        (("compare", config, run, "--out", tmp_path / "x"), "takes one config or several run"),
        (("compare", config, "--out", tmp_path / "x", "--report", tmp_path), "left in --out"),
        (("compare", config, "--out", tmp_path / "x", "--against", "a"), "--against is for run"),
        (("compare", config, "--out", tmp_path / "x", "--margin", 0), "--margin"),
        (("compare", run, "--set", "training.epochs=2"), "--set is for a config"),
        (("compare", run, "--seeds", 3), "--seeds is for a config"),
        (("compare", run, "--equal", "steps"), "--equal is for a config"),
        (("compare", run, "--quiet"), "--quiet is for a config"),
        (("compare", run, "--formats", "png"), "--formats is for a report: name its folder"),
        (("compare", run, "--against", "none"), "'none': no group"),
        (("compare", run, run), "is given twice"),
        (("compare", tmp_path / "none"), "no such folder"),
    ):
        answer = accord_cli(*arguments)
        assert answer.code == 2, arguments
        assert message in answer.err
        assert answer.err.count("\n") == 1
    assert not (tmp_path / "x").exists()
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
    note = rf"mood: figures of different rows, not to be compared: \S*{ALONE} / \S*run\."
    assert re.search(note, answer.out)
    assert "different rows" not in accord_cli("compare", *(out / "cells").iterdir()).out
