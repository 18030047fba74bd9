"""Data and encoders that are changed between two sittings: refused, or forced and recorded."""

import json
import os
import shutil

import pytest
from projects import STAGES

from accord.grids.file import read_grid
from accord.grids.running import run_grid
from accord.runs.lock import HOLDER, hold
from accord.tuning import tune

GRID = """
config = "accord.toml"
[axes]
lr = [1e-2, 1e-3]
"""
SHORT = {"training.epochs": 1, "training.steps_per_epoch": 2}
SEARCH = ["lr=1e-5:1e-1:log"]


def edit(file):
    """Exchange the first label of a file for another one."""
    text = file.read_text()
    file.write_text(text.replace(",pos", ",mixed", 1))
    assert file.read_text() != text


def other_weights(folder, write_encoder):
    write_encoder(folder, seed=1)


def other_settings(folder, write_encoder):
    table = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(table | {"hidden_dropout_prob": 0.4}))


@pytest.fixture
def begun(project, write_encoder, tmp_path):
    """A grid and a search of which one run is done: (their config, a command for each)."""
    encoder = write_encoder(tmp_path / "encoder")
    config = project({**SHORT, "encoder.path": str(encoder)}, ("mood",))
    grid = config.parent / "grid.toml"
    grid.write_text(GRID)
    run_grid(read_grid(grid).cells[:1], tmp_path / "grid")
    tune(config, SEARCH, 1, out=tmp_path / "study", quiet=True)
    return config, [
        ["grid", grid, "--out", tmp_path / "grid", "--quiet"],
        ["tune", config, "--out", tmp_path / "study", "--trials", 2, "--search", *SEARCH,
         "--quiet"],
    ]  # fmt: skip


def folders(tmp_path):
    return sorted(file.parent for file in tmp_path.rglob("status.json"))


@pytest.mark.slow
def test_whatever_was_changed_is_named_before_anything_is_trained(
    begun, tmp_path, accord_cli, write_encoder
):
    config, commands = begun
    before = folders(tmp_path)
    data, encoder = config.parent, tmp_path / "encoder"
    changes = [
        (data / "mood-train.csv", lambda: edit(data / "mood-train.csv")),
        (data / "mood-dev.csv", lambda: edit(data / "mood-dev.csv")),
        (encoder, lambda: other_weights(encoder, write_encoder)),
        (encoder / "config.json", lambda: other_settings(encoder, write_encoder)),
    ]
    kept = {place: tmp_path / f"kept-{place.name}" for place in (data, encoder)}
    for place, copy in kept.items():
        shutil.copytree(place, copy)
    for named, change in changes:
        change()
        for command in commands:
            answer = accord_cli(*command)
            assert (answer.code, answer.err.count("\n")) == (2, 1), answer.err
            assert f"{named}: was changed since the run {tmp_path}" in answer.err
            assert ": content " in answer.err
        for place, copy in kept.items():
            shutil.copytree(copy, place, dirs_exist_ok=True)
    assert folders(tmp_path) == before
    for command in commands:  # all is as it was
        answer = accord_cli(*command)
        assert answer.code == 0, answer.err
    assert len(folders(tmp_path)) == len(before) + 2


@pytest.mark.slow
def test_by_force_it_goes_on_and_every_report_says_so(begun, tmp_path, accord_cli):
    config, commands = begun
    file = config.parent / "mood-dev.csv"
    edit(file)
    said = f"{file} (mood.dev: content "
    for command in commands:
        answer = accord_cli(*command, "--force")
        assert answer.code == 0, answer.err
        assert f"FORCED: changed between runs: {said}" in answer.out
        again = accord_cli(*command, "--json")  # what was agreed to is not asked for again
        assert again.code == 0, again.err
        assert said in again.out
    assert said in (tmp_path / "grid" / "report.md").read_text().replace("\\", "")
    for out in ("grid", "study"):
        assert said in json.loads((tmp_path / out / "forced.json").read_text())[0]

    edit(file)  # and once more: that is another change
    grid = config.parent / "grid.toml"
    grid.write_text(GRID.replace("1e-3]", "1e-3, 1e-4]"))
    more = ["--trials", 3]
    for command in (commands[0], [*commands[1], *more]):
        answer = accord_cli(*command)
        assert (answer.code, "was changed since" in answer.err) == (2, True)


@pytest.mark.slow
def test_a_file_that_is_edited_while_a_search_runs_stops_it(
    project, tmp_path, accord_cli, monkeypatch
):
    from accord.tuning import search

    config, begin = project(SHORT, ("mood",)), search.Search._begin

    def edited(self):
        if self.progress.counted == 1:
            edit(config.parent / "mood-dev.csv")
        begin(self)

    monkeypatch.setattr(search.Search, "_begin", edited)
    out = tmp_path / "out"
    command = ["tune", config, "--out", out, "--trials", 3, "--search", *SEARCH, "--quiet"]
    for said in ("was changed between the runs", "was changed"):
        answer = accord_cli(*command)
        assert (answer.code, answer.err.count("\n")) == (2, 1), answer.err
        assert f"{config.parent / 'mood-dev.csv'}: {said}" in answer.err
        monkeypatch.setattr(search.Search, "_begin", begin)


@pytest.mark.slow
def test_evaluate_evaluates_on_the_rows_that_the_run_was_evaluated_by(
    project, train, tmp_path, accord_cli
):
    config, run = project(SHORT, ("mood", "near")), tmp_path / "run"
    train(config, run)
    before = json.loads(accord_cli("evaluate", run, "--json").out)
    assert "forced" not in before
    file = config.parent / "mood-dev.csv"
    edit(file)
    for model in (run, run / "model"):
        answer = accord_cli("evaluate", model)
        assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
        assert f"changed since this run was trained: {file} (mood.dev)" in answer.err
    assert accord_cli("evaluate", run, "--task", "near").code == 0
    forced = json.loads(accord_cli("evaluate", run, "--force", "--json").out)
    assert forced.pop("forced") == [f"{file} (mood.dev)"]
    assert forced["near"] == before["near"]
    assert forced["mood"] != before["mood"]
    named = json.loads(accord_cli("evaluate", run, "--config", config, "--json").out)
    assert named["mood"] == forced["mood"]
    assert "FORCED: changed since" in accord_cli("evaluate", run, "--force").out
    refused = accord_cli("evaluate", run, "--force", "--config", config)
    assert (refused.code, "--force is for the run's dev files" in refused.err) == (2, True)


EDITS = [
    ("epochs = 1", "epochs = 4", "training.epochs: 1 -> 4"),
    ("lr = 0.001\n", "lr = 0.5\n", "training.lr: 0.001 -> 0.5"),
    ("lr = 0.001\n", "", "training.lr: 0.001 -> None"),
    ("lr = 0.001\n", "lr = 0.001\nwarmup = 0.5\n", "training.warmup: None -> 0.5"),
]


@pytest.mark.parametrize("stages", ["", '\n[[stages]]\ntasks = ["mood"]\n'])
def test_a_finished_run_whose_config_was_edited_is_refused_and_says_how_to_train_on(
    staged_project, tmp_path, accord_cli, listing, stages
):
    run, config = tmp_path / "run", staged_project(stages, SHORT, ("mood",))
    assert accord_cli("train", config, "--out", run, "--quiet").code == 0
    answer = accord_cli("resume", run)
    assert answer.code == 0
    how = f'encoder.path = "{run / "model"}" and encoder.heads = "keep"; or'
    assert f"{run}: this run is done; nothing to resume" in answer.err
    assert how in answer.err
    file = run / "config.toml"
    text = file.read_text()
    for before, after, said in EDITS:
        assert before in text
        file.write_text(text.replace(before, after))
        left = listing(run)
        for more in ([], ["--force"]):
            answer = accord_cli("resume", run, *more)
            assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
            assert said in answer.err
            assert how in answer.err
        assert listing(run) == left
    file.write_text(text)
    assert accord_cli("resume", run).code == 0


@pytest.mark.slow
def test_an_edit_of_a_finished_stage_alone_is_refused_though_forced(
    staged_project, tmp_path, accord_cli, stop_after
):
    short = "training = { epochs = 1, steps_per_epoch = 3 }"
    stages = STAGES.replace('tasks = ["mood"]', f'tasks = ["mood"]\n{short}')
    run, config = tmp_path / "run", staged_project(stages)
    stop_after(5)  # in the second stage
    assert accord_cli("train", config, "--out", run, "--quiet").code == 143
    file = run / "config.toml"
    text = file.read_text()
    file.write_text(text.replace("epochs = 1,", "epochs = 3,"))
    answer = accord_cli("resume", run, "--force", "--quiet")
    assert (answer.code, answer.err.count("\n")) == (2, 1), answer.err
    assert "stage 1: is done, and was trained by other settings: training.epochs: 1 -> 3" in (
        answer.err
    )
    file.write_text(text)
    assert accord_cli("resume", run, "--quiet").code == 0


@pytest.mark.slow
def test_of_two_at_once_the_second_names_the_first(project, tmp_path, accord_cli, listing):
    """Whether or not anything was begun in the folder."""
    config, out = project(SHORT, ("mood", "near")), tmp_path / "out"
    grid = config.parent / "grid.toml"
    grid.write_text(GRID)
    commands = [
        ["grid", grid, "--out", out],
        ["compare", config, "--seeds", 2, "--out", out],
        ["tune", config, "--out", out, "--trials", 1],
    ]
    for index in (None, '{"cells": []}'):
        out.mkdir(exist_ok=True)
        with hold(out):
            if index:
                (out / "grid.json").write_text(index)
            before = listing(out)
            for command in commands[: 2 if index else 3]:
                answer = accord_cli(*command)
                assert (answer.code, answer.out, answer.err.count("\n")) == (1, "", 1), answer.err
                assert f"{out}: is being written to by process {os.getpid()} on " in answer.err
            assert listing(out) == before
    (out / HOLDER).write_text("process 1 on a host that is gone")  # killed: the lock went with it
    assert accord_cli(*commands[0], "--quiet").code == 0
    assert not (out / HOLDER).exists()
