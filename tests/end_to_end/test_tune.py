"""Searching settings: trials, pruning, stops, and what is left for the user."""

import csv
import json
import os
import re
import shutil
import sys

import held
import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy.stats import pearsonr

from accord.config.file import load_config
from accord.errors import BusyError, ConfigError, RunFolderError, Stopped, TrainingError
from accord.grids import cell_run
from accord.grids.cells import identity_of
from accord.plan.recorded import recorded_config
from accord.runs.folder import RunFolder
from accord.runs.lock import hold
from accord.training.objective import Objective
from accord.training.run import resume_run
from accord.tuning import search, tune

SEARCH = ["lr=1e-5:1e-1:log", "training.batch_size=2,4"]
TASKS = ("mood", "near")


def ended(tuned):
    """All of a study's trials, without timings."""
    return [(own.number, own.state, own.score, own.settings) for own in tuned.trials]


@pytest.fixture
def config(project):
    """A project of two tasks and two short epochs."""
    return project({"training.epochs": 2, "training.steps_per_epoch": 2}, TASKS)


@pytest.fixture(scope="module")
def study(make_project, tmp_path_factory):
    """A finished study that tests read and do not change; its project is the folder beside it."""
    folder = tmp_path_factory.mktemp("study")
    changes = {"training.epochs": 2, "training.steps_per_epoch": 2}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCORD_CACHE", str(folder / "cache"))
        path = make_project(folder / "project", changes, TASKS)
        return tune(path, SEARCH, 9, out=folder / "out", quiet=True)


def test_a_study_leaves_its_trials_and_the_best_config(study):
    states = [own.state for own in study.trials]
    assert states[:5] == ["done"] * 5  # nothing is pruned before
    assert "pruned" in states
    assert len(states) == 9
    done = [own for own in study.trials if own.state == "done"]
    assert study.best == max(done, key=lambda own: own.score)
    for own in study.trials:
        run = RunFolder.open(study.out / "trials" / str(own.number))
        assert run.state() == own.state
        assert recorded_config(run).training.lr == own.settings["training.lr"]
        if own.state == "done":
            assert run.read_json("results.json")["score"] == own.score

    best = load_config(study.config).model_copy(update={"selection": None})
    assert best == recorded_config(RunFolder(study.out / "trials" / str(study.best.number)))
    with (study.out / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "number", "state", "score", "seconds", "training.lr", "training.batch_size",
    ]  # fmt: skip
    assert [(row["state"], float(row["score"])) for row in rows] == [
        (own.state, own.score) for own in study.trials
    ]


def test_the_choice_of_the_best_trial_is_cross_fitted(study, accord_cli):
    """By hand: the trial that one half of dev chooses, evaluated on the other, both ways."""
    done = [own.number for own in study.trials if own.state == "done" and own.repeats is None]
    read = {i: load_file(study.out / "trials" / str(i) / "scores.safetensors") for i in done}
    halves, labels = ({task: read[done[0]][f"{part}/{task}"] for task in TASKS}
                      for part in ("halves", "labels"))  # fmt: skip

    def value(task, logits, half):
        rows = halves[task] == half
        if task == "mood":
            return (logits.argmax(1) == labels[task])[rows].mean()
        return pearsonr(logits[rows, 0], labels[task][rows]).statistic

    def score(number, chosen_on, evaluated_on):
        return [
            value(task, read[number][f"chosen/{task}"][chosen_on], evaluated_on) for task in TASKS
        ]

    by_half = [[np.mean(score(i, half, half)) for i in done] for half in (0, 1)]
    chosen = [done[int(np.argmax(own))] for own in by_half]
    shares = {task: [(halves[task] == half).mean() for half in (0, 1)] for task in TASKS}
    on_1, on_0 = score(chosen[0], 0, 1), score(chosen[1], 1, 0)
    crossfit = np.mean([
        shares[task][0] * on_0[i] + shares[task][1] * on_1[i] for i, task in enumerate(TASKS)
    ])  # fmt: skip
    assert study.selection.trials == tuple(chosen)
    assert study.selection.crossfit == pytest.approx(crossfit)
    saved = [score(study.best.number, 2, half) for half in (0, 1)]
    dev = np.mean([shares[task][0] * saved[0][i] + shares[task][1] * saved[1][i]
                   for i, task in enumerate(TASKS)])  # fmt: skip
    assert study.selection.dev == pytest.approx(dev)
    record = json.loads((study.out / "selection.json").read_text())
    assert (record["by"], record["on"], record["candidates"]) == ("accord tune", "dev", 9)
    assert record["gap"] == pytest.approx(dev - crossfit)
    first, second = study.config.read_text().splitlines()[:2]
    assert first.startswith(f"# accord tune: trial {study.best.number}, dev score ")
    assert second.startswith("# chosen by dev among 9 trials; cross-fitted (trial and epoch chosen")
    assert f"{crossfit:.4f}: the score is too good by about {dev - crossfit:.4f}" in second
    assert second.isascii()


def test_a_config_says_that_it_was_chosen_and_runs_as_it_would_without(study, train, tmp_path):
    config = load_config(study.config)
    assert config.selection.model_dump() == {"by": "accord tune", "candidates": 9, "on": "dev"}
    plain = config.model_copy(update={"selection": None})
    assert identity_of(config) == identity_of(plain)
    run = RunFolder(train(study.config, tmp_path / "run"))
    assert recorded_config(run).selection == config.selection
    trial = RunFolder(study.out / "trials" / str(study.best.number))
    assert (
        run.read_json("resolved.json")["fingerprint"]
        == (trial.read_json("resolved.json")["fingerprint"])
    )
    with pytest.raises(ConfigError, match="can't be searched: it changes nothing in a run"):
        tune(study.config, ["selection.candidates=1,2"], 2, out=tmp_path / "again")


@pytest.mark.slow
def test_a_pruned_trial_fell_behind_and_can_be_gone_on_with(study, tmp_path):
    pruned = next(own for own in study.trials if own.state == "pruned")
    folder = tmp_path / "run"
    shutil.copytree(study.out / "trials" / str(pruned.number), folder)
    assert pruned.score < study.best.score
    assert "pruned after epoch 1" in (folder / "log.txt").read_text()
    assert resume_run(folder, quiet=True).results["epochs"][0]["score"] == pruned.score
    assert RunFolder(folder).state() == "done"


@pytest.mark.slow
def test_a_study_stopped_in_a_trial_goes_on_as_if_it_had_not(study, tmp_path, stop_after):
    config = study.out.parent / "project" / "accord.toml"
    out = tmp_path / "out"
    tune(config, SEARCH, 2, out=out, quiet=True)
    stop_after(3)  # of four steps, so in the second epoch
    with pytest.raises(Stopped, match="stopped in trial 2, with 7 of 9 to go; the same") as error:
        tune(config, SEARCH, 9, out=out, quiet=True)
    assert error.value.exit_code == 130
    assert RunFolder(out / "trials" / "2").state() == "stopped"
    before = (out / "trials" / "1" / "log.txt").read_text()
    again = tune(config, SEARCH, 9, out=out, quiet=True)
    assert ended(again) == ended(study)
    assert "resuming after step 3" in (out / "trials" / "2" / "log.txt").read_text()
    assert (out / "trials" / "1" / "log.txt").read_text() == before
    assert (out / "best.toml").read_text() == study.config.read_text()
    assert ended(tune(config, SEARCH, 3, out=out, quiet=True)) == ended(study)  # nothing to do


@pytest.mark.slow
def test_a_study_that_was_killed_goes_on(study, tmp_path, start_accord, wait_for_steps):
    config, out = study.out.parent / "project" / "accord.toml", tmp_path / "out"
    searches = [part for text in SEARCH for part in ("--search", text)]
    before = held.before(7)  # in the second trial of four steps
    process = start_accord("tune", config, "--out", out, "--trials", 3, *searches, before=before)
    wait_for_steps(process, out / "trials" / "1", 2)
    process.kill()
    process.wait()
    with (out / "study.journal").open("a") as file:
        file.write('{"op_code": 5, "worker')  # what a power cut may leave
    (out / "study.journal.lock").symlink_to("study.journal")
    assert ended(tune(config, SEARCH, 3, out=out, quiet=True)) == ended(study)[:3]


@pytest.mark.slow
def test_the_tasks_weights_are_tuned_by_default(config, tmp_path, accord_cli):
    out = tmp_path / "out"
    plan = accord_cli("tune", config, "--out", out, "--trials", 3, "--dry-run")
    assert plan.code == 0, plan.err
    assert "methods.fixed.weights.near=0.1:10.0:log\n3 trials, 3 to run: at most about" in plan.out
    assert not out.exists()

    answer = accord_cli("tune", config, "--out", out, "--trials", 3)
    assert answer.code == 0, answer.err
    first = (
        r"\[1/3\] score (-?0\.\d{4}) \(best \1, trial 0\): methods\.fixed\.weights\.near=1; about"
    )
    assert re.search(first, answer.err)
    assert "3 trials: 3 done, 0 pruned, 0 failed" in answer.out
    said = r"trial \d: dev score -?0\.\d{4}, chosen by dev among 3 trials; cross-fitted .* about "
    assert re.search(said, answer.out)
    assert answer.out.endswith(f"{out / 'best.toml'}\n")
    plan = accord_cli("tune", config, "--out", out, "--trials", 3, "--dry-run", "--json")
    assert json.loads(plan.out)["done"] == 3

    again = accord_cli("tune", config, "--out", out, "--trials", 3, "--json", "--quiet")
    assert again.err == ""
    found = json.loads(again.out)
    assert [own["state"] for own in found["trials"]] == ["done"] * 3
    number, weights = found["best"]["number"], found["best"]["settings"]
    best = load_config(out / "best.toml")
    assert best.training.balancing == "fixed"
    assert best.methods["fixed"]["weights"] == {
        "mood": 1.0, "near": weights["methods.fixed.weights.near"],
    }  # fmt: skip
    run = accord_cli("train", out / "best.toml", "--out", tmp_path / "run", "--json", "--quiet")
    assert json.loads(run.out)["score"] == found["best"]["score"]
    assert (out / "trials" / str(number) / "results.json").exists()


@pytest.mark.slow
def test_weights_are_searched_from_those_that_follow_from_the_tasks_shares(
    project, tmp_path, train, metrics
):
    config = project({"training.epochs": 1, "training.batching": "proportional"}, TASKS)
    weights = metrics(train(config, tmp_path / "run"))[0]["loss_weights"]
    relative = weights["near"] / weights["mood"]
    assert relative > 2
    (trial,) = tune(config, trials=1, out=tmp_path / "out", quiet=True).trials
    assert trial.settings == {"methods.fixed.weights.near": pytest.approx(relative)}


@pytest.mark.slow
def test_a_score_is_the_mean_over_seeds(config, tmp_path):
    tuned = tune(config, ["lr=1e-3:1e-2"], 1, out=tmp_path / "out", seeds=2, quiet=True)
    folders = sorted((tmp_path / "out" / "trials").iterdir())
    assert [own.name for own in folders] == ["0-seed=3", "0-seed=4"]
    scores = [RunFolder(own).read_json("results.json")["score"] for own in folders]
    assert scores[0] != scores[1]
    assert tuned.best.score == pytest.approx(sum(scores) / 2)
    assert load_config(tuned.config).training.seed == 3


@pytest.mark.slow
def test_a_combination_that_can_t_work_fails_alone(config, tmp_path, accord_cli):
    """Four combinations, one of them impossible: each of the other three is run once."""
    answer = accord_cli(
        "tune", config, "--out", tmp_path / "out", "--trials", 8, "--json", "--no-prune",
        "--search", "mode=finetune,frozen", "--search", "gradients=sum,pcgrad",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    trials = json.loads(answer.out)["trials"]
    failed = [own for own in trials if own["state"] == "failed"]
    assert failed
    for own in failed:
        assert own["error"].startswith(f"trial {own['number']}: training.gradients: 'pcgrad' comb")
        assert f"trial {own['number']} failed: {own['error']}" in answer.err
    done = [own for own in trials if own["state"] == "done"]
    assert len(done) == 8
    ran = [own for own in done if own["repeats"] is None]
    assert sorted(path.name for path in (tmp_path / "out" / "trials").iterdir()) == sorted(
        str(own["number"]) for own in ran
    )
    assert len(ran) == len({json.dumps(own["settings"]) for own in done}) <= 3
    scores = {own["number"]: own["score"] for own in done}
    assert all(scores[own["repeats"]] == own["score"] for own in done if own not in ran)


@pytest.mark.slow
def test_settings_that_make_the_same_run_are_run_once(config, tmp_path):
    searches = ["gradients=sum,cagrad", "methods.cagrad.c=0.1:0.5"]
    tuned = tune(config, searches, 6, out=tmp_path / "out", prune=False, quiet=True)
    plain = [own for own in tuned.trials if own.settings["training.gradients"] == "sum"]
    assert len(plain) > 1
    assert [own.repeats for own in plain] == [None, *[plain[0].number] * (len(plain) - 1)]
    assert len({own.score for own in plain}) == 1
    assert len({own.settings["methods.cagrad.c"] for own in plain}) == len(plain)


def test_a_config_that_a_run_refuses_is_tried_once(config, tmp_path, monkeypatch):
    tried = []

    def refuse(folder, config, quiet, watch, **more):
        tried.append(config.training.epochs)
        raise ConfigError("sharing: no such layer")

    monkeypatch.setattr(cell_run, "_run", refuse)
    monkeypatch.setattr(search, "MOST_FAILURES", 6)
    with pytest.raises(TrainingError, match=r"the last so: as trial \d: sharing: no such layer"):
        tune(config, ["training.epochs=1,2"], 9, out=tmp_path / "out", quiet=True)
    assert len(tried) == len(set(tried))


@pytest.mark.slow
def test_a_search_of_which_everything_fails_ends(config, tmp_path, monkeypatch):
    monkeypatch.setattr(search, "MOST_FAILURES", 2)
    own = Objective.example_losses
    monkeypatch.setattr(
        Objective, "example_losses",
        lambda self, *rest: [part * float("nan") for part in own(self, *rest)],
    )  # fmt: skip
    with pytest.raises(TrainingError, match=r"2 trials in a row failed, .* is not finite"):
        tune(config, SEARCH, 9, out=tmp_path / "out", quiet=True)
    assert (tmp_path / "out" / "trials.csv").read_text().count("failed") == 2
    monkeypatch.setattr(Objective, "example_losses", own)
    tuned = tune(config, SEARCH, 1, out=tmp_path / "out", quiet=True)
    assert [trial.state for trial in tuned.trials] == ["failed", "failed", "done"]


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"arguments": ["--set", "training.epochs=1"]}, "training.epochs: 2 -> 1"),
        ({"arguments": ["--seeds", 2]}, "seeds: 1 -> 2"),
        ({"search": "lr=1e-5:1e-2:log"}, "-> training.lr=1e-05:0.01:log training.batch_size=2,4"),
    ],
)
def test_another_study_is_refused(study, accord_cli, listing, changes, difference):
    config, before = study.out.parent / "project" / "accord.toml", listing(study.out)
    searches = ["--search", changes.get("search", SEARCH[0]), "--search", SEARCH[1]]
    for further in ([], ["--dry-run"]):
        answer = accord_cli(
            "tune", config, "--out", study.out, *searches, *changes.get("arguments", []), *further
        )
        assert (answer.code, answer.err.count("\n")) == (2, 1)
        assert f"{study.out}: holds a study of another config or search (" in answer.err
        assert difference in answer.err
    assert listing(study.out) == before


def test_a_folder_of_something_else_is_refused(study, config, tmp_path):
    with pytest.raises(RunFolderError, match="holds a run already"):
        tune(config, out=study.out / "trials" / "0")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "thesis.tex").touch()
    with pytest.raises(RunFolderError, match="not an empty folder"):
        tune(config, out=tmp_path / "own")
    (tmp_path / "damaged").mkdir()
    for text in ("{}\n", "[]\n", "3\n", "[" * 200_000 + "\n", '{"op_code": 99}\n'):
        (tmp_path / "damaged" / "study.journal").write_text(text)
        with pytest.raises(RunFolderError, match="holds no study that can be read"):
            tune(config, out=tmp_path / "damaged")


@pytest.mark.slow
def test_two_processes_don_t_share_a_study(study):
    said = rf"is being written to by process {os.getpid()} on"
    with hold(study.out), pytest.raises(BusyError, match=said):
        tune(study.out.parent / "project" / "accord.toml", SEARCH, 9, out=study.out)


def test_without_optuna_it_says_how_to_get_it(config, tmp_path, accord_cli, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    answer = accord_cli("tune", config, "--out", tmp_path / "out")
    assert answer.code == 2
    assert answer.err == 'accord: accord tune needs optuna: pip install "accord-mtl[tune]"\n'
    assert not (tmp_path / "out").exists()


def test_a_wrong_search_writes_nothing(config, tmp_path, accord_cli):
    answer = accord_cli("tune", config, "--out", tmp_path / "out", "--search", "lr=1:0.1")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "accord: --search lr=1:0.1: 1.0 is not below 0.1\n"
    assert not (tmp_path / "out").exists()


def test_what_a_kill_left_out_is_written_by_the_same_command(study, tmp_path):
    """The study may know of its last trial, and the folder not yet."""
    out, names = tmp_path / "out", ("best.toml", "trials.csv")
    shutil.copytree(study.out, out)
    for name in names:
        (out / name).unlink()
    again = tune(study.out.parent / "project" / "accord.toml", SEARCH, 9, out=out, quiet=True)
    assert again.config.is_file()
    assert all((out / name).read_bytes() == (study.out / name).read_bytes() for name in names)


def test_both_ends_of_a_range_have_to_fit_the_encoder(project, accord_cli, tmp_path):
    config = project({"sharing.schemes": ["lora"]}, TASKS)
    search = ("--search", "methods.lora.rank=2:1000", "--trials", 3, "--dry-run")
    answer = accord_cli("tune", config, "--out", tmp_path / "out", *search)
    assert answer.code == 2
    assert "methods.lora: rank 1000 is larger than a layer" in answer.err
