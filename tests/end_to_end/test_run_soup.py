"""A soup of several runs: never worse than the best of them, on the dev rows that they share."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.stats import pearsonr

import accord
from accord.config.file import load_config
from accord.derived import run_soup
from accord.optim.soups import Soup
from accord.plan.making import plan_run
from accord.training import run as training

RATES = (1e-3, 3e-3, 1e-2)
METRICS = ("mood", "same", "near")
EPOCHS = {"training.epochs": 2, "training.steps_per_epoch": 3}
SHORT = {"training.epochs": 1, "training.steps_per_epoch": 1}


@pytest.fixture(scope="module")
def runs(make_project, tmp_path_factory):
    """Runs that differ in their rate."""
    folder, made = tmp_path_factory.mktemp("runs"), []
    for rate in RATES:
        config = make_project(folder / "project", {**EPOCHS, "training.lr": rate})
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ACCORD_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
            plan, source = plan_run(load_config(config)).only, config.read_text(encoding="utf-8")
            run = folder / f"run-{rate}"
            made.append(training.start_run(plan, run, source=source, quiet=True))
    return [run.folder for run in made]


@pytest.fixture
def made(runs, accord_cli, tmp_path):
    """The soup's folder and what the command said of it."""
    answer = accord_cli("soup", *runs, "--out", tmp_path / "soup", "--json", "--quiet")
    assert (answer.code, answer.err) == (0, "")
    return tmp_path / "soup", json.loads(answer.out)


@pytest.mark.slow
def test_it_is_no_worse_than_the_best_run(made, runs, accord_cli):
    folder, said = made
    sums = {
        str(run): sum(json.loads((run / "results.json").read_text())["metrics"].values())
        for run in runs
    }
    assert {run: each["sum"] for run, each in said["alone"].items()} == pytest.approx(
        sums, abs=1e-5
    )
    assert said["sum"] >= max(each["sum"] for each in said["alone"].values())
    assert said["members"][0] == max(sums, key=lambda run: sums[run])
    config = runs[0].parent / "project" / "accord.toml"
    answer = json.loads(accord_cli("evaluate", folder, "--config", config, "--json").out)
    for task, metric in (("mood", "accuracy"), ("same", "accuracy"), ("near", "pearson")):
        assert answer[task][metric] == pytest.approx(said["metrics"][task], abs=1e-5)


def test_its_cross_fitted_figures(runs, tmp_path, monkeypatch):
    """By hand, where a half's soup is the best run alone: it predicts the other half's rows."""

    def best_alone(alone, weights_of, evaluate):
        best = max(range(len(alone)), key=lambda i: alone[i].sum)
        return Soup((best,), weights_of(best), alone[best])

    monkeypatch.setattr(run_soup, "greedy_soup", best_alone)
    actual = run_soup.soup_runs(runs, tmp_path / "soup").crossfit
    tensors = [load_file(run / "scores.safetensors") for run in runs]
    labels, halves = ({task: tensors[0][f"{part}/{task}"].numpy() for task in METRICS}
                      for part in ("labels", "halves"))  # fmt: skip

    def value(run, task, half):
        logits, rows = tensors[run][f"chosen/{task}"][2].numpy(), halves[task] == half
        if task == "near":
            return pearsonr(logits[rows, 0], labels[task][rows]).statistic
        return (logits.argmax(1) == labels[task])[rows].mean()

    def best_on(half):
        sums = [sum(value(run, task, half) for task in METRICS) for run in range(len(runs))]
        return int(np.argmax(sums))

    for task in METRICS:
        shares = [(halves[task] == half).mean() for half in (0, 1)]
        wanted = sum(shares[half] * value(best_on(1 - half), task, half) for half in (0, 1))
        assert actual[task] == pytest.approx(wanted, abs=1e-5)


def test_it_is_the_mean_of_the_runs_in_it(made):
    folder, said = made
    for file in ("heads.safetensors", "model.safetensors"):
        parts = [load_file(Path(run) / "model" / file) for run in said["members"]]
        for name, value in load_file(folder / file).items():
            mean = torch.stack([part[name] for part in parts]).mean(0)
            torch.testing.assert_close(value, mean, rtol=1e-5, atol=1e-7)


def test_it_says_what_its_tasks_are_made_from(made, runs):
    """The members' data, and a fingerprint of their runs."""
    folder, said = made
    members = [Path(run) / "model" for run in said["members"]]
    tables = [json.loads((each / "accord.json").read_text()) for each in (folder, *members)]
    tasks, *others = ({task["name"]: task["made"] for task in table["tasks"]} for table in tables)
    for name, origin in tasks.items():
        assert {other[name]["data"] for other in others} == {origin["data"]}
        runs_of = " ".join(other[name]["run"] for other in others)
        assert origin["run"] == hashlib.sha256(runs_of.encode()).hexdigest()


def test_models_that_are_alike_all_join_and_are_shown(runs, accord_cli, tmp_path):
    shutil.copytree(runs[0], tmp_path / "again")
    answer = accord_cli("soup", runs[0], tmp_path / "again", "--out", tmp_path / "soup")
    assert answer.code == 0, answer.err
    assert answer.out.count("yes") == 2
    lines = [line.split() for line in answer.out.splitlines()]
    (soup,) = (line[2:] for line in lines if line[:2] == ["the", "soup"])
    (crossfit,) = (line[1:] for line in lines if line[:1] == ["cross-fitted"])
    assert soup[:2] == crossfit[:2]  # whichever half chooses, the models are the same
    assert "figures are on the dev rows that chose its members, and so are too good" in answer.out
    assert "2 of 2 runs in the soup" in answer.err
    one, other = accord.load(tmp_path / "soup"), accord.load(runs[0])
    assert one.predict("mood", ["a lovely film"]) == other.predict("mood", ["a lovely film"])


@pytest.mark.slow
def test_runs_of_other_dropout_and_seed_mix(runs, project, train, accord_cli, tmp_path):
    changes = {**SHORT, "tasks.mood.dropout": 0.3, "encoder.dropout": 0.2, "training.seed": 9,
               "tasks.near.targets": "popart"}  # fmt: skip
    other = train(project(changes), tmp_path / "other")
    answer = accord_cli("soup", runs[0], other, "--out", tmp_path / "soup", "--json")
    assert answer.code == 0, answer.err
    assert len(json.loads(answer.out)["alone"]) == 2


@pytest.fixture
def refused(accord_cli, tmp_path):
    def call(*arguments):
        answer = accord_cli("soup", *arguments, "--out", tmp_path / "out")
        assert (answer.code, answer.out) == (2, "")
        assert answer.err.count("\n") == 1
        assert not (tmp_path / "out").exists()
        return answer.err

    return call


@pytest.mark.quick("changes2")
@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"tasks.mood.pooling": "mean"}, "has other tasks, or the same with other settings"),
        ({"encoder.max_length": 12}, "has other tasks, or the same with other settings or lengths"),
        ({"sharing.schemes": ["task-norm"]}, "has other parts than"),
        ({"tasks.mood.limit": 8}, "has other dev rows of mood than"),
        ({"tasks.mood.dev": None}, "has other dev rows of mood than"),
    ],
)
def test_runs_that_don_t_fit(refused, runs, project, train, tmp_path, changes, line):
    other = train(project({**SHORT, **changes}), tmp_path / "other")
    assert line in refused(runs[0], other)


@pytest.mark.slow
def test_more_that_can_be_no_soup(refused, runs, project, train, tmp_path, write_encoder):
    assert "takes two or more runs, got 1" in refused(runs[0])
    shutil.copytree(runs[1] / "model", tmp_path / "bare" / "model")
    assert "lies in no run folder; a soup takes runs" in refused(runs[0], tmp_path / "bare")
    encoder = write_encoder(tmp_path / "encoder", seed=1)
    other = train(project({**SHORT, "encoder.path": str(encoder)}), tmp_path / "other")
    assert "began from another encoder than" in refused(runs[0], other)
    held_out = train(project({**SHORT, "tasks.mood.dev": None}), tmp_path / "held-out")
    assert "tasks.mood has no dev file" in refused(held_out, runs[0])
