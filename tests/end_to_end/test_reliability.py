"""Faults around a run: a second writer, signals, values that aren't finite, a clock set back."""

import json
import os
import signal
import time

import held
import pytest
import torch
from projects import PATIENCE
from safetensors.torch import load_file

from accord.durable import FAULT, write_manifest
from accord.errors import BusyError, RunFolderError, Stopped, TrainingError
from accord.plan.run import CheckpointPlan
from accord.runs.folder import RunFolder
from accord.training.cadence import Cadence
from accord.training.checkpoint import FORMAT
from accord.training.run import resume_run


def test_a_second_process_is_refused_and_names_the_holder(
    start_accord, wait_for_steps, project, tmp_path, accord_cli
):
    config, run = project(), tmp_path / "run"
    process = start_accord("train", config, "--out", run, before=held.before(4))
    wait_for_steps(process, run, 3)
    for command in (("resume", run), ("train", config, "--out", run)):
        answer = accord_cli(*command)
        assert answer.code == 1, answer.err
        assert answer.err.count("\n") == 1
        assert f"process {process.pid} on" in answer.err
    assert RunFolder.open(run).state() == "running"
    process.kill()
    process.wait()
    assert json.loads((run / "status.json").read_text())["state"] == "running"
    assert RunFolder.open(run).state() == "killed"  # its lock went with it
    process = start_accord("resume", run, before=held.before(4))
    wait_for_steps(process, run, 3)


def test_status_says_who_and_when(finished):
    status = json.loads((finished / "status.json").read_text())
    assert status["state"] == "done"
    assert status["pid"] == os.getpid() or status["pid"] > 0
    assert status["host"]
    assert status["heartbeat"] >= status["time"]


def test_a_run_beats(tmp_path, monkeypatch):
    run = RunFolder.create(tmp_path / "run")
    run.set_status("running", step=0)
    run.beat(1)
    assert run.read_json("status.json")["step"] == 0  # not yet
    monkeypatch.setattr("accord.runs.folder._BEAT_SECONDS", 0.0)
    monkeypatch.setattr("accord.runs.folder.now", lambda: "later")
    run.beat(2)
    status = run.read_json("status.json")
    assert (status["step"], status["heartbeat"]) == (2, "later")
    assert status["state"] == "running"


@pytest.mark.slow
def test_sigusr1_saves_and_goes_on(start_accord, wait_for_steps, project, tmp_path):
    config, run = project({"training.epochs": 1}), tmp_path / "run"
    process = start_accord("train", config, "--out", run, before=held.before(3))
    wait_for_steps(process, run, 2)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(PATIENCE) == 0
    saved = {own.name for own in (run / "checkpoints").iterdir()}
    assert saved in ({"step-2", "step-6"}, {"step-3", "step-6"})
    assert RunFolder(run).state() == "done"


@pytest.fixture
def poisoned(monkeypatch):
    """Let the loss of one example be what is given: (value, steps)."""
    from accord.training.objective import Objective

    def call(value, steps):
        calls = []
        plain = Objective.example_losses

        def losses(self, micro, present, key):
            parts = plain(self, micro, present, key)
            if key.step in steps:
                calls.append(key.step)
                parts[0] = parts[0] + torch.tensor([value] + [0.0] * (len(parts[0]) - 1))
            return parts

        monkeypatch.setattr(Objective, "example_losses", losses)

    return call


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_stops_before_the_update_and_names_the_example(
    project, train, tmp_path, poisoned, value, accord_cli
):
    poisoned(value, {4})
    run = tmp_path / "run"
    answer = accord_cli("train", project(), "--out", run, "--quiet")
    assert answer.code == 1
    assert answer.err.count("\n") == 1
    assert "step 5: the loss of mood is not finite; nothing was updated" in answer.err
    assert "mood: examples m" in answer.err
    status = json.loads((run / "status.json").read_text())
    assert status["state"] == "failed"
    assert "not finite" in status["reason"]
    log = (run / "log.txt").read_text()
    assert "DEBUG   Traceback" in log
    assert "ERROR" in log


def test_steps_that_are_not_finite_are_left_out_and_counted_where_allowed(
    project, train, poisoned, metrics, outcome, killed_and_resumed
):
    poisoned(float("nan"), {2, 9})
    config = project({"training.max_skipped_steps": 2, "checkpoint.every_steps": 5})
    killed, run = killed_and_resumed(lambda folder: train(config, folder), 5)
    assert json.loads((run / "results.json").read_text())["skipped_steps"] == 2
    skipped = [line["step"] for line in metrics(run) if line.get("skipped")]
    assert skipped == [3, 10]
    assert metrics(run)[2]["losses"]["mood"] is None
    assert "left out, 2 of 2 allowed" in (run / "log.txt").read_text()
    assert outcome(killed) == outcome(run)


def test_more_of_them_than_allowed_stop_the_run(project, train, tmp_path, poisoned):
    poisoned(float("nan"), {2, 9})
    with pytest.raises(TrainingError, match="step 10: the loss of mood"):
        train(project({"training.max_skipped_steps": 1}), tmp_path / "run")


def test_what_was_left_out_before_a_stop_still_counts_after_it(
    project, train, tmp_path, poisoned, stop_after
):
    """Three steps aren't finite and two may be left out: the third stops the run wherever it was
    resumed, be none, one or both of the others behind it."""
    poisoned(float("nan"), {2, 6, 9})
    config = project({"training.max_skipped_steps": 2})
    for last, behind in ((1, 0), (4, 1), (8, 2)):
        run = tmp_path / f"stopped-{last}"
        stop_after(last)
        with pytest.raises(Stopped):
            train(config, run)
        status = json.loads((run / "checkpoints" / f"step-{last}" / "progress.json").read_text())
        assert status["skipped"] == behind
        with pytest.raises(TrainingError, match="step 10: the loss of mood"):
            resume_run(run, quiet=True)
        assert "left out, 2 of 2 allowed" in (run / "log.txt").read_text(), last


def test_the_older_checkpoint_is_used_where_the_newest_is_damaged(
    stopped_copy, unbroken, outcome, accord_cli
):
    run = stopped_copy({}, 7)
    newest = run / "checkpoints" / "step-7" / "optimizer.safetensors"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    answer = accord_cli("resume", run)
    assert answer.code == 0, answer.err
    assert "step-7 is damaged and left out: optimizer.safetensors is not what was" in answer.err
    assert "resuming after step 6 of 12" in answer.err
    assert outcome(run) == outcome(unbroken())


def test_a_checkpoint_of_another_format_is_refused(stopped_copy, accord_cli):
    run = stopped_copy({}, 2)
    checkpoint = run / "checkpoints" / "step-2"
    progress = checkpoint / "progress.json"
    progress.write_text(progress.read_text().replace(f'"format": {FORMAT}', '"format": 7'))
    (checkpoint / "manifest.json").unlink()
    write_manifest(checkpoint)
    answer = accord_cli("resume", run, "--quiet")
    assert answer.code == 2
    assert f"is of format 7; this version of Accord reads format {FORMAT}" in answer.err


def edit_config(run, project):
    file = run / "config.toml"
    file.write_text(file.read_text().replace("lr = 0.001", "lr = 0.002"))
    return "training.lr: 0.001 -> 0.002"


def edit_data(run, project):
    file = project / "same-train.tsv"
    file.write_text(file.read_text().replace("\t1\n", "\t0\n", 1))
    return "data same.train: content"


def edit_versions(run, project):
    file = run / "resolved.json"
    table = json.loads(file.read_text())
    table["versions"]["torch"] = "1.0"
    file.write_text(json.dumps(table))
    return f"version of torch: 1.0 -> {torch.__version__}"


@pytest.mark.slow
def test_a_frozen_encoder_that_changed_is_refused(stopped, accord_cli, write_encoder, tmp_path):
    """Its weights are in no checkpoint."""
    folder = write_encoder(tmp_path / "encoder")
    run = stopped({"encoder.mode": "frozen", "encoder.path": str(folder)}, 8)
    assert not any(
        name.startswith("encoder")
        for name in load_file(run / "checkpoints" / "step-8" / "parameters.safetensors")
    )
    write_encoder(folder, seed=1)
    answer = accord_cli("resume", run, "--quiet")
    assert answer.code == 2
    assert "encoder's weights: content; --force goes on" in answer.err
    write_encoder(folder)
    assert accord_cli("resume", run, "--quiet").code == 0


@pytest.mark.quick("edit_data")
@pytest.mark.parametrize("edit", [edit_config, edit_data, edit_versions])
def test_a_change_is_shown_and_forced_through(stopped, accord_cli, tmp_path, edit):
    run = stopped({"training.epochs": 1}, 4)
    change = edit(run, tmp_path / "project")
    answer = accord_cli("resume", run, "--quiet")
    assert answer.code == 2
    assert change in answer.err
    assert "--force goes on anyway" in answer.err
    answer = accord_cli("resume", run, "--force")
    assert answer.code == 0, answer.err
    assert f"warning: going on although these changed: {change}" in answer.err
    (entry,) = json.loads((run / "resolved.json").read_text())["forced"]
    assert entry["changes"] == [change]


def more_dev_rows(run, project):
    file = project / "near-dev.csv"
    file.write_text(file.read_text() + "more,the film,a song,1.0\n")
    return "data near.dev: content"


def other_dev_labels(run, project):
    file = project / "same-dev.tsv"
    file.write_text(file.read_text().replace("\t1\n", "\t0\n", 1))
    return "data same.dev: content"


def another_metric(run, project):
    file = run / "config.toml"
    file.write_text(file.read_text().replace("[tasks.same]\n", '[tasks.same]\nmetric = "f1"\n'))
    return 'task same.metric: "accuracy" -> "f1"'


@pytest.mark.slow
def test_what_epochs_were_evaluated_by_cannot_be_forced_through(stopped, accord_cli, tmp_path):
    """Their scores would meet other rows, or other labels."""
    run, project = stopped({}, 8), tmp_path / "project"
    files = [run / "config.toml", project / "near-dev.csv", project / "same-dev.tsv"]
    as_begun = {file: file.read_bytes() for file in files}
    before = (run / "resolved.json").read_bytes()
    for edit in (more_dev_rows, other_dev_labels, another_metric):
        change = edit(run, project)
        answer = accord_cli("resume", run, "--force", "--quiet")
        assert (answer.code, answer.err.count("\n")) == (2, 1), change
        said = f"changed since its first epochs were evaluated: {change}; later ones can't"
        assert said in answer.err
        assert (run / "resolved.json").read_bytes() == before, change
        for file, content in as_begun.items():
            file.write_bytes(content)


@pytest.mark.slow
def test_dev_rows_that_changed_before_the_first_epoch_ended_can_be(stopped, accord_cli, tmp_path):
    run = stopped({}, 4)
    more_dev_rows(run, tmp_path / "project")
    assert accord_cli("resume", run, "--force", "--quiet").code == 0
    heldout = json.loads((run / "results.json").read_text())["heldout"]
    lines = (tmp_path / "project" / "near-dev.csv").read_text().splitlines()
    assert heldout["near"]["rows"] == len(lines) - 1


def test_a_forced_run_goes_by_its_edited_config(stopped_copy, accord_cli, metrics):
    run = stopped_copy({"training.schedule": "constant", "training.warmup": 0.0}, 8)
    edit_config(run, None)
    assert accord_cli("resume", run, "--force", "--quiet").code == 0
    rates = {line["step"]: line["lr"][0] for line in metrics(run)}
    assert (rates[8], rates[9]) == (0.001, 0.002)


@pytest.mark.slow
def test_a_clock_that_is_set_back_holds_nothing_up(project, train, tmp_path, monkeypatch):
    times = iter(range(10**9, 0, -100))
    monkeypatch.setattr(time, "time", lambda: next(times))
    monkeypatch.setattr(time, "gmtime", lambda *_: time.struct_time((1999, 1, 1, 0, 0, 0, 4, 1, 0)))
    run = train(project({"checkpoint.every_minutes": 1e-9, "training.epochs": 1}), tmp_path / "run")
    assert len(list((run / "checkpoints").glob("step-*"))) == 6


def test_when_a_checkpoint_is_due(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    steps, minutes = (
        Cadence(CheckpointPlan(every_steps=steps, every_minutes=minutes))
        for steps, minutes in ((500, None), (None, 2))
    )
    assert [step for step in range(1, 1001) if steps.is_due(step)] == [500, 1000]
    assert not minutes.is_due(500)
    now[0] = 120.0
    assert minutes.is_due(501)
    minutes.saved()
    assert not minutes.is_due(502)


def test_a_run_killed_before_it_began_can_be_started_again(project, train, tmp_path, outcome):
    run = tmp_path / "run"
    RunFolder.create(run)
    about_to_start = pytest.raises(BusyError, match=rf"process {os.getpid()} on .+ since ")
    with RunFolder(run).hold(), about_to_start:
        RunFolder.check_free(run)
    (run / "resolved.json").write_text("{")
    train(project({"training.epochs": 1}), run)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.toml").write_text("mine")
    with pytest.raises(RunFolderError, match="not an empty folder"):
        RunFolder.check_free(tmp_path / "other")


def test_a_data_file_that_vanished_is_one_line(stopped, accord_cli, tmp_path):
    run = stopped({}, 8)
    (tmp_path / "project" / "near-dev.csv").unlink()
    answer = accord_cli("resume", run, "--quiet")
    assert answer.code == 2
    assert answer.err.count("\n") == 1
    assert "near-dev.csv" in answer.err


@pytest.mark.quick("3")
@pytest.mark.parametrize("place", [3, 40, 90])
def test_a_full_disk_is_one_line_and_the_run_goes_on_later(
    project, train, unbroken, tmp_path, outcome, accord_cli, monkeypatch, place
):
    run = tmp_path / "run"
    monkeypatch.setattr("accord.durable._reached", 0)
    monkeypatch.setenv(FAULT, f"full@{place}")
    answer = accord_cli("train", project(), "--out", run, "--quiet")
    monkeypatch.delenv(FAULT)
    assert answer.code in (1, 2)
    assert answer.err.count("\n") == 1
    assert "No space left" in answer.err
    if (run / "status.json").exists():
        resume_run(run, quiet=True)
    else:
        train(project(), run)
    assert outcome(run) == outcome(unbroken())


@pytest.mark.slow
def test_no_token_reaches_a_file_or_the_screen(project, tmp_path, accord_cli, monkeypatch):
    """A hub's token stands in the environment alone."""
    planted = "hf_PlantedTokenThatNobodyMaySee"
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.setenv(name, planted)
    run = tmp_path / "run"
    answers = [
        accord_cli("train", project({"training.epochs": 1}, ("mood",)), "--out", run),
        accord_cli("resume", run),
        accord_cli("train", project({"encoder.path": "nobody/none"}), "--out", tmp_path / "b"),
        accord_cli("doctor", "--json"),
    ]
    assert not any(planted in answer.out + answer.err for answer in answers)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert files
    assert not any(planted.encode() in file.read_bytes() for file in files)
