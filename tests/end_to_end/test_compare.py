"""`accord compare`: what is missing is trained, and the answer is a table and a report."""

import json
import re
import shutil

import numpy as np
import pytest
from edited_runs import SELECTION, heldout
from scipy import stats

from accord.comparison.family import compare_groups
from accord.comparison.group import group_runs
from accord.config.file import load_config
from accord.errors import UsageError
from accord.grids.comparison import comparison_cells
from accord.grids.running import grid_groups
from accord.metrics import get_metric
from accord.report.record import read_run


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
        assert (own["evaluated_on"], own["runs"], own["pairs"]) == ("dev, cross-fitted", [2, 2], 2)
        assert own["level"] == pytest.approx(1 - 0.05 / 2)
        assert (own["kind"] in ("better", "worse")) == (own["low"] > 0 or own["high"] < 0)
    assert mood["examples_alone"] == mood["examples_together"] == 22
    assert near["examples_alone"] == near["examples_together"] == 18  # two passes over 9 rows
    assert shown["sharing_notes"] == []
    computed = [own["layers_computed"]["computed"] for own in shown["groups"]]
    assert computed == [1.0, 1.0, 2.0]  # of one layer: a text, a pair, and both
    assert shown["groups"][2]["layers_computed"]["inputs"]["pair"]["tasks"] == ["near"]
    answer = accord_cli("compare", config, "--out", out, "--seeds", 2, "--quiet")
    assert "Was sharing worth it?" in answer.out
    assert "encoder layers computed" in answer.out
    assert (
        "encoder layers computed for an answer to all tasks: 2.0: 1.0 for a text (mood) and 1.0 for"
        " a pair (near); the encoder has 1, and a model for each task computes 2.0" in answer.out
    )
    assert "for 2 comparisons, corrected together by Holm's method, at 5 %" in answer.out
    plan = accord_cli("compare", config, "--out", out, "--seeds", 3, "--dry-run")
    assert "9 cells, 3 to run" in plan.out


def test_accuracy_s_difference_is_that_of_the_files(compared):
    """The mean squares of the table of differences, run by row, and Student's quantiles."""
    out, _ = compared
    (own,) = [each for each in compare_groups(grid_groups(out)).sharing if each.task == "mood"]
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

    (own,) = [each for each in compare_groups(grid_groups(out)).sharing if each.task == "near"]
    means = [np.mean([within_halves(run) for run in g.runs]) for g in (own.together, own.alone)]
    assert own.compared.difference.value == pytest.approx(means[0] - means[1], abs=1e-6)


def test_dev_predictions_give_the_metric_again(compared):
    out, _ = compared
    for path in (out / "cells").iterdir():
        run = read_run(path)
        for name, task in run.tasks.items():
            own = run.predictions(name)
            value = get_metric(task.metric)(own.predicted, own.labels)
            assert value == pytest.approx(run.metrics[name], abs=1e-9)


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_without_dev_files_all_seeds_are_evaluated_on_the_same_rows(project, accord_cli, tmp_path):
    config = project({"training.epochs": 1}, ("mood", "near"))
    lines = config.read_text().splitlines(keepends=True)
    config.write_text("".join(line for line in lines if not line.startswith("dev =")))
    answer = accord_cli("compare", config, "--out", tmp_path / "out", "--seeds", 2)
    assert answer.code == 0, answer.err
    assert "Was sharing worth it?" in answer.out
    assert "rows of" in answer.err  # how many serve as dev rows
