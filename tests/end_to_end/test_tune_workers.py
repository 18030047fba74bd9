"""Several trials of a search at once: what they leave, how they are pruned, stopped, resumed."""

import json
import re
import signal
from pathlib import Path

import held
import pytest
from optuna.trial import Trial
from projects import PATIENCE

from accord.grids.cell_run import CellResult, run_cell
from accord.grids.workers import run_cells
from accord.runs.folder import RunFolder
from accord.tuning import search, tune

SEARCH = ["lr=1e-5:1e-1:log", "training.batch_size=2,4"]
TASKS = ("mood", "near")


@pytest.fixture
def config(project):
    """A project of two tasks and two short epochs."""
    return project({"training.epochs": 2, "training.steps_per_epoch": 2}, TASKS)


PRUNE_THE_THIRD = """
from optuna.trial import Trial
Trial.should_prune = lambda self: self.number == 2
"""


@pytest.mark.slow
def test_workers_leave_what_one_process_leaves_and_are_pruned(
    config, tmp_path, monkeypatch, outcome, start_accord
):
    out = tmp_path / "several"
    arguments = ["tune", config, "--out", out, "--trials", 3, "--workers", 2]
    searches = [part for text in SEARCH for part in ("--search", text)]
    process = start_accord(*arguments, *searches, before=held.FORKING + PRUNE_THE_THIRD)
    monkeypatch.setattr(Trial, "should_prune", lambda self: self.number == 2)
    one = tune(config, SEARCH, 3, out=tmp_path / "one", quiet=True)
    assert process.wait(PATIENCE) == 0
    several = tune(config, SEARCH, 3, out=out, quiet=True)  # nothing is left to do
    found, expected = (
        [(own.number, own.state, own.score, own.settings) for own in tuned.trials]
        for tuned in (several, one)
    )
    assert found == expected
    assert [own[1] for own in found] == ["done", "done", "pruned"]
    for number in (0, 1):
        runs = [tuned.out / "trials" / str(number) for tuned in (one, several)]
        assert outcome(runs[0]) == outcome(runs[1])
    pruned = several.out / "trials" / "2"
    assert RunFolder(pruned).state() == "pruned"
    assert "pruned after epoch 1" in (pruned / "log.txt").read_text()
    for name in ("best.toml", "study.journal", "trials.csv"):
        assert (several.out / name).is_file()
    assert several.config.read_text() == one.config.read_text()


@pytest.mark.slow
def test_a_signal_makes_all_trials_save_and_the_same_command_goes_on(
    config, tmp_path, start_accord, wait_for_steps, outcome
):
    out = tmp_path / "out"
    arguments = ["tune", config, "--out", out, "--trials", 3, "--no-prune", "--search", SEARCH[0]]
    held_workers = held.before(3, tmp_path / "go")
    process = start_accord(*arguments, "--workers", 2, before=held_workers)
    trials = [out / "trials" / number for number in ("0", "1")]
    for trial in trials:
        wait_for_steps(process, trial, 2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 130
    error = process.stderr.read()
    assert "stopped in trials 0, 1, with 3 of 3 to go; the same command goes on" in error
    assert "Traceback" not in error
    assert [RunFolder(trial).state() for trial in trials] == ["stopped", "stopped"]

    again = tune(config, SEARCH[:1], 3, out=out, prune=False, quiet=True)  # in one process now
    assert [own.state for own in again.trials] == ["done"] * 3
    for trial in trials:  # the signal came in the third step, or just before it
        assert re.search(r"resuming after step [23] of", (trial / "log.txt").read_text())
    whole = tune(config, SEARCH[:1], 1, out=tmp_path / "whole", prune=False, quiet=True)
    assert outcome(whole.out / "trials" / "0") == outcome(trials[0])


@pytest.fixture
def last_first(monkeypatch):
    """Let two cells be under way at once, the one that came last end first; return their order."""
    order = []

    def run(draw, workers, threads):
        held = []
        while True:
            while len(held) < 2 and (job := draw()) is not None:
                held.append(job)
            if not held:
                return
            job = held.pop()
            order.append(Path(job.cell["folder"]).name)
            yield job, CellResult(**run_cell(job.cell, job.watch))

    monkeypatch.setattr(search, "run_cells", run)
    return order


def test_settings_that_are_drawn_again_wait_for_the_trial_that_runs_them(
    config, tmp_path, last_first
):
    tuned = tune(config, ["training.batch_size=2,4"], 6, out=tmp_path / "out", prune=False,
                 quiet=True)  # fmt: skip
    assert [own.state for own in tuned.trials] == ["done"] * 6
    first = {}
    for own in tuned.trials:
        assert own.repeats == first.get(json.dumps(own.settings))
        first.setdefault(json.dumps(own.settings), own.number)
    assert sorted(last_first) == sorted(map(str, first.values()))
    assert len(last_first) == 2


@pytest.mark.slow
def test_each_trial_goes_through_its_seeds_while_others_go_through_theirs(
    config, tmp_path, last_first
):
    several = tune(config, SEARCH, 3, out=tmp_path / "several", seeds=2, prune=False, quiet=True)
    assert last_first != sorted(last_first)
    assert sorted(last_first) == [f"{number}-seed={seed}" for number in range(3) for seed in (3, 4)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "run_cells", run_cells)
        one = tune(config, SEARCH, 3, out=tmp_path / "one", seeds=2, prune=False, quiet=True)
    assert [(own.number, own.score) for own in several.trials] == [
        (own.number, own.score) for own in one.trials
    ]
