"""Early stopping: when a run ends, what it leaves, and that a resumed one decides as it would have.

A gain that has to exceed 1 never comes, so these runs end as soon as their patience lets them.
"""

import json

import pytest

from accord.comparison.against import contrast_notes
from accord.comparison.group import group_runs
from accord.comparison.notes import group_notes
from accord.config.file import load_config, reduced
from accord.errors import ConfigError, UsageError
from accord.grids.amounts import AT_DEV_S_WORD
from accord.grids.comparison import comparison_cells
from accord.plan.making import plan_run
from accord.report.record import read_run
from accord.training.run import resume_run
from accord.training.stopping import last_gain

SHORT = {"training.epochs": 6, "training.steps_per_epoch": 3, "checkpoint.every_steps": 2}
STOPS = {**SHORT, "training.patience": 2, "training.min_delta": 1.0}


def results_of(run):
    return json.loads((run / "results.json").read_text())


def waited(values, patience, min_delta):
    """After how many epochs a run ends, told one epoch at a time."""
    best, waits = None, 0
    for epoch, value in enumerate(values, 1):
        if best is None or value - best > min_delta:
            best, waits = value, 0
        else:
            waits += 1
        if waits == patience:
            return epoch
    return len(values)


@pytest.mark.slow
@pytest.mark.parametrize("stop_on", ["score", "near"])
def test_it_is_the_whole_run_until_it_ends(project, train, unbroken, tmp_path, stop_on):
    """The same steps at the same rates, ended after its last gain and its patience."""
    long = {"training.epochs": 8, "training.steps_per_epoch": 2}
    whole = results_of(unbroken(long))
    values = {
        "score": [sum(record["metrics"].values()) / 3 for record in whole["epochs"]],
        "near": [record["metrics"]["near"] for record in whole["epochs"]],
    }[stop_on]
    ends = set()
    for patience, min_delta in ((1, 0.0), (2, 0.0), (1, 0.05), (2, 0.02), (3, 0.3)):
        end = waited(values, patience, min_delta)
        ends.add(end)
        changes = {"training.patience": patience, "training.min_delta": min_delta}
        changes |= {**long, "training.stop_on": stop_on}
        run = train(project(changes), tmp_path / f"{patience}-{min_delta}")
        results = results_of(run)
        assert results["epochs"] == whole["epochs"][:end]
        assert results["steps"] == 2 * end
        assert results["exposure"]["mood"]["steps"] == 2 * end
        early = results["stopped_early"]
        assert (early is not None) is (end < 8)
        if early is not None:
            assert (early["epoch"], early["epochs"], early["stop_on"]) == (end, 8, stop_on)
            assert early["gained"] == end - patience
            assert early["value"] == pytest.approx(values[early["gained"] - 1])
            if stop_on == "score" and not min_delta:
                assert results["best_epoch"] == end - patience
        assert json.loads((run / "status.json").read_text())["steps"] == 2 * end
    assert len(ends) > 1


WAYS = {
    "an epoch before": ({}, 6),
    "a step before": ({}, 8),
    "swa": ({"averaging.method": "swa", "averaging.start": 0.2, "averaging.every_steps": 2}, 8),
    "soup": ({"averaging.method": "soup", "training.gradients": "pcgrad"}, 8),
    "ema": ({"averaging.method": "ema", "training.stop_on": "near"}, 8),
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_killed_before_the_decision_it_goes_on_to_the_same_bits(killed_and_whole, outcome, way):
    changes, last = way
    run, whole = killed_and_whole({**STOPS, **changes}, last=last)
    assert outcome(run) == outcome(whole)
    assert results_of(run)["stopped_early"]["epoch"] == 3


@pytest.mark.slow
def test_stopped_by_a_signal_after_the_decision_it_takes_no_further_step(
    stopped, unbroken, outcome
):
    run = stopped(STOPS, 9)
    resume_run(run, quiet=True)
    assert outcome(run) == outcome(unbroken(STOPS))
    assert results_of(run)["steps"] == 9


LINE = "stopped early after epoch 3 of 6: score has not risen by more than 1 above"


@pytest.mark.slow
def test_it_is_said(project, accord_cli, tmp_path):
    answer = accord_cli("train", project(STOPS), "--out", tmp_path / "run")
    assert answer.code == 0, answer.err
    assert any(line.startswith(LINE) for line in answer.out.splitlines())
    assert LINE in answer.err
    assert "\\n" not in answer.out  # a line each
    assert "stops after 2 epochs without a gain of score" in answer.err
    answer = accord_cli("check", project({**STOPS, "training.patience": 5}))
    assert "training.patience: is 5, but the run has 6 epochs: it never stops early" in answer.err
    answer = accord_cli("check", project({"training.min_delta": 0.1}))
    assert "training.min_delta is not used: training.patience is not set" in answer.err


@pytest.mark.slow
def test_a_stage_stops_alone(staged_project, accord_cli, tmp_path):
    stages = """
[[stages]]
tasks = ["mood"]
training = { epochs = 5, patience = 1, min_delta = 1.0, stop_on = "mood" }

[[stages]]
name = "pairs"
tasks = ["same", "near"]
training = { epochs = 2 }
"""
    config = staged_project(stages)
    answer = accord_cli("train", config, "--out", tmp_path / "run", "--quiet")
    assert answer.code == 0, answer.err
    assert "stage 1 stopped early after epoch 2 of 5: mood has not risen" in answer.out
    results = results_of(tmp_path / "run")
    assert [stage["epochs"] for stage in results["stages"]] == [2, 2]
    assert results["stages"][1]["stopped_early"] is None


def test_what_a_comparison_can_t_make_equal_it_refuses(project, accord_cli, tmp_path):
    file = project({**STOPS, "training.stop_on": "near"}, ("mood", "near"))
    config = load_config(file)
    for equal in ("examples", "steps", "tokens"):
        with pytest.raises(UsageError, match=AT_DEV_S_WORD):
            comparison_cells(config, 1, "here", equal)
    cells = comparison_cells(config, 1, "here", "nothing")
    assert [cell.config.training.stop_on for cell in cells] == ["score", "near", "near"]
    grid = file.with_name("grid.toml")
    grid.write_text('config = "accord.toml"\nequal = "examples"\n[axes]\nlr = [1e-3, 1e-4]\n')
    answer = accord_cli("grid", grid, "--out", tmp_path / "out")
    assert answer.code == 2
    assert f"training.patience: {AT_DEV_S_WORD}" in answer.err
    assert len(answer.err.splitlines()) == 1


def test_a_task_alone_doesn_t_stop_on_another(project):
    config = load_config(project({**STOPS, "training.stop_on": "near"}))
    alone = reduced(config, {"mood": config.tasks["mood"]})
    assert plan_run(alone).only.training.stop_on == "score"
    with pytest.raises(ConfigError, match=r"stop_on: no task 'nead'; did you mean 'near'"):
        plan_run(load_config(project({**STOPS, "training.stop_on": "nead"})))


@pytest.mark.slow
def test_a_comparison_says_what_stopping_did(unbroken):
    groups = group_runs([read_run(unbroken(STOPS), "stops"), read_run(unbroken(SHORT), "whole")])
    notes = [note for note in group_notes(groups) if "in part: all dev rows ended" in note]
    assert len(notes) == 1
    assert "runs of stops early" in notes[0]
    (note,) = [note for note in contrast_notes(groups, groups[1]) if "NOT LIKE" in note]
    assert "runs stopped early, stops and whole had mood 36 and 72 examples" in note


def test_the_last_gain():
    assert last_gain([0.3]) == 0
    assert last_gain([0.3, 0.3, 0.3]) == 0
    assert last_gain([0.1, 0.2, 0.3]) == 2
    # A slow rise is one gain after the other, each above the last one that counted.
    assert last_gain([0.1, 0.14, 0.18, 0.22], min_delta=0.05) == 2
