"""Several trials of a search at once: what they leave, how they are pruned, stopped, resumed."""

import json
import re
import signal
from pathlib import Path

import held
import pytest
from optuna.trial import Trial
from projects import PATIENCE

from accord.config.file import load_config
from accord.grids.changed import Sameness
from accord.grids.workers import ThisProcess
from accord.runs.folder import RunFolder
from accord.runs.progress import Console
from accord.tuning import tune
from accord.tuning.progress import Progress
from accord.tuning.search import Search
from accord.tuning.space import Space
from accord.tuning.study import open_study
from accord.tuning.trials import Trials

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


class Two(ThisProcess):
    """Holds two cells at once, and runs the one that came last first."""

    def __init__(self):
        super().__init__()
        self.held, self.order = [], []

    @property
    def has_room(self):
        return len(self.held) < 2 and not self.stopped

    def give(self, task, watch=None):
        assert self.has_room
        self.held.append((task, watch))

    def results(self):
        task, watch = self.held.pop()
        self.order.append(Path(task["folder"]).name)
        super().give(task, watch)
        return super().results()


@pytest.fixture
def search(config, tmp_path, monkeypatch):
    """Search with two cells held at once: (texts, trials, seeds=1) -> records, and their order."""

    def call(texts, trials, seeds=1, out=tmp_path / "out"):
        space, pool = Space.of(load_config(config), texts, config.parent), Two()
        with open_study(out, space, seeds, prune=False) as study:
            progress = Progress(trials, [], Console(quiet=True))
            same = Sameness([], pytest.fail, force=False, say=pytest.fail)
            Search(Trials(study, space, out, seeds, quiet=True, sameness=same), pool, progress).go()
        return progress.trials, pool.order

    return call


def test_settings_that_are_drawn_again_wait_for_the_trial_that_runs_them(search):
    trials, order = search(["training.batch_size=2,4"], 6)
    assert [own.state for own in trials] == ["done"] * 6
    first = {}
    for own in trials:
        assert own.repeats == first.get(json.dumps(own.settings))
        first.setdefault(json.dumps(own.settings), own.number)
    assert sorted(order) == sorted(map(str, first.values()))
    assert len(order) == 2


def test_each_trial_goes_through_its_seeds_while_others_go_through_theirs(search, tmp_path, config):
    trials, order = search(SEARCH, 3, seeds=2)
    assert order != sorted(order)
    assert sorted(order) == [f"{number}-seed={seed}" for number in range(3) for seed in (3, 4)]
    one = tune(config, SEARCH, 3, out=tmp_path / "one", seeds=2, prune=False, quiet=True)
    assert [(own.number, own.score) for own in trials] == [
        (own.number, own.score) for own in one.trials
    ]
