"""Runs whose batches are packed ahead in a thread: as on a GPU, but for the device."""

import json
import signal
import threading
from functools import partial

import held
import pytest
import torch
from projects import PATIENCE

from accord.config.file import load_config
from accord.plan.making import plan_run
from accord.training import batches, loop
from accord.training.batches import Batches
from accord.training.run import resume_run
from accord.training.setup import Setup, prepare
from accord.training.step import Learner

AHEAD = "import accord.training.batches as b\nb.made_ahead = lambda device: 2\n"
TWO = {"training.epochs": 2, "training.steps_per_epoch": 3, "training.gradients": "pcgrad"}


@pytest.fixture
def look_ahead(monkeypatch):
    monkeypatch.setattr(batches, "made_ahead", lambda device: 2)


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "accord-ahead"]


@pytest.mark.quick("proportional")
@pytest.mark.parametrize("batching", ["proportional", "finish-largest", "annealed"])
def test_it_leaves_the_bytes_of_a_run_without_stopped_and_resumed_or_not(
    stopped, project, train, tmp_path, outcome, monkeypatch, batching
):
    changes = TWO | {"training.batching": batching, "training.halves_every": 2}
    plain = outcome(train(project(changes), tmp_path / "plain"))
    drawn_in = []
    drawn = Setup.drawn

    def noted(self, step):
        drawn_in.append((step, threading.current_thread().name))
        return drawn(self, step)

    monkeypatch.setattr(Setup, "drawn", noted)
    monkeypatch.setattr(batches, "made_ahead", lambda device: 2)
    ahead = train(project(changes), tmp_path / "ahead")
    assert drawn_in == [(step, "accord-ahead") for step in range(6)]
    assert outcome(ahead) == plain
    run = stopped(changes, 2)
    assert threads() == []
    resume_run(run, quiet=True)
    assert outcome(run) == plain
    assert threads() == []


def test_steps_of_static_shapes_take_batches_that_were_made_ahead(
    project, train, tmp_path, outcome, monkeypatch
):
    monkeypatch.setattr("accord.training.setup.records", lambda *_: True)
    config = project({"training.epochs": 2, "training.steps_per_epoch": 4, "encoder.dropout": 0.1})
    plain = outcome(train(config, tmp_path / "plain"))
    made = []
    step = Learner.step

    def noted(self, number, batch, factor):
        made.append(batch.static)
        return step(self, number, batch, factor)

    monkeypatch.setattr(batches, "made_ahead", lambda device: 2)
    monkeypatch.setattr(Learner, "step", noted)
    assert outcome(train(config, tmp_path / "ahead")) == plain
    assert len(made) == 8
    assert None not in made
    assert threads() == []


def test_nothing_of_an_epoch_is_drawn_before_the_one_before_is_evaluated(
    project, train, tmp_path, monkeypatch, look_ahead
):
    events = []
    drawn, evaluate = Setup.drawn, loop.evaluate_epoch

    def noted(self, step):
        events.append(step // 3)
        return drawn(self, step)

    def evaluated(*rest):
        events.append("dev")
        return evaluate(*rest)

    monkeypatch.setattr(Setup, "drawn", noted)
    monkeypatch.setattr(loop, "evaluate_epoch", evaluated)
    train(project(TWO), tmp_path / "run")
    assert events == [0, 0, 0, "dev", 1, 1, 1, "dev"]


def test_an_error_is_that_of_the_step_that_needed_the_batch(
    project, tmp_path, accord_cli, monkeypatch
):
    drawn = Setup.drawn

    def broken(self, step):
        if step == 4:
            raise OSError(5, "Input/output error", "store.arrow")
        return drawn(self, step)

    monkeypatch.setattr(Setup, "drawn", broken)
    config, said = project({"training.epochs": 1, "training.steps_per_epoch": 6}), []
    for most in (0, 2):
        monkeypatch.setattr(batches, "made_ahead", lambda device, most=most: most)
        run = tmp_path / f"run{most}"
        answer = accord_cli("train", config, "--out", run)
        assert answer.code == 1
        steps = [
            line for line in (run / "metrics.jsonl").read_text().splitlines() if "step" in line
        ]
        assert json.loads(steps[-1])["step"] == len(steps) == 4
        said.append(answer.err.splitlines()[-1].replace(str(run), "RUN"))
    assert said[0] == said[1]
    assert "store.arrow" in said[0]
    assert threads() == []


@pytest.mark.quick("SIGINT")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_a_signal_saves_and_stops(
    start_accord, wait_for_steps, project, tmp_path, metrics, number, code
):
    run = tmp_path / "run"
    process = start_accord("train", project(), "--out", run, before=held.before(4) + AHEAD)
    wait_for_steps(process, run, 3)
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == code
    assert err.splitlines()[-1].startswith(f"accord: {number.name} after step ")
    assert json.loads((run / "status.json").read_text())["step"] == len(metrics(run))


def test_a_second_sigint_quits_while_a_batch_is_made(
    start_accord, wait_for_steps, project, tmp_path
):
    """The thread, which would never end, is not waited for."""
    before = (
        AHEAD
        + """
import time
from accord.runs.signals import StopSignals
from accord.training.setup import Setup
drawn, remember = Setup.drawn, StopSignals._remember
def slow(self, step):
    if step == 1:
        print("reached", flush=True)
        time.sleep(3600)
    return drawn(self, step)
def note(*rest):
    remember(*rest)
    print("noted", flush=True)
Setup.drawn, StopSignals._remember = slow, note
"""
    )
    run = tmp_path / "run"
    process = start_accord("train", project(), "--out", run, before=before)
    assert process.stdout.readline() == "reached\n"
    wait_for_steps(process, run, 1)
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "noted\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "Traceback" not in err


def test_a_frozen_encoder_s_vectors_are_looked_up_by_the_step_itself(
    project, train, tmp_path, look_ahead, monkeypatch
):
    monkeypatch.setattr(Setup, "drawn", partial(pytest.fail, "nothing to pack"))
    run = train(project({"encoder.mode": "frozen", "training.epochs": 1}), tmp_path / "run")
    assert (run / "results.json").exists()


def test_batches_begin_where_a_run_goes_on(project, look_ahead):
    setup = prepare(plan_run(load_config(project(TWO))).only)
    with Batches(setup) as made:
        for step in (1, 2, 3, 4):
            ours, wanted = made.take(step), setup.batch(step)
            assert torch.equal(ours.token_ids, wanted.token_ids)
            for one, other in zip(ours.targets, wanted.targets, strict=True):
                assert torch.equal(one, other)
    assert threads() == []
