"""Whether a run is repeatable: said, recorded and kept; how torch is set while it runs."""

import json
import os
from dataclasses import replace

import pytest
import torch

from accord.config.file import load_config
from accord.errors import TrainingError
from accord.plan.making import plan_run
from accord.runs.repeatable import VARIABLE, in_one_order
from accord.training.run import resume_run, start_run
from accord.training.setup import Setup, prepare
from accord.training.step import Learner

SHORT = {"training.epochs": 1, "training.steps_per_epoch": 3}


def recorded(run):
    return json.loads((run / "results.json").read_text())["repeatable"]


def planned(config, deterministic):
    """A plan of a run on a CPU that reads the key, as one on a GPU does."""
    plan = plan_run(load_config(config)).only
    training = plan.training.model_copy(update={"deterministic": deterministic})
    return replace(plan, training=training)


def on_a_gpu(setup, **changes):
    """What of a run is decided by its device alone, without one."""
    return replace(setup, device=torch.device("cuda"), **changes)


@pytest.mark.parametrize("deterministic", [True, False])
def test_when_a_run_is_repeatable(project, deterministic):
    setup = prepare(planned(project(SHORT), deterministic))
    assert setup.is_repeatable  # as any on a CPU is
    assert on_a_gpu(setup).is_repeatable is deterministic
    assert not on_a_gpu(setup, unordered="too late").is_repeatable


def test_what_could_not_be_ordered_is_said_in_a_line(project, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("accord.training.setup.order_fault", lambda device: "too late; do so")
    run = start_run(plan_run(load_config(project(SHORT))).only, tmp_path / "run").folder
    assert capsys.readouterr().err.count("warning: too late; do so\n") == 1
    assert "too late; do so" in (run / "log.txt").read_text()
    assert recorded(run)  # on a CPU


def test_cublas_is_told_before_anything_asks_the_gpu(project, monkeypatch):
    """Whether it has TF32, for one: to ask starts CUDA."""
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.delenv(VARIABLE)
    gpu = torch.device("cuda", 0)
    monkeypatch.setattr("accord.training.setup.choose_device", lambda name, trains: gpu)

    def ask(*_):
        raise TrainingError(f"asked with {os.environ.get(VARIABLE)}")

    monkeypatch.setattr("accord.training.setup.check_precision", ask)
    with pytest.raises(TrainingError, match="asked with :4096:8"):
        prepare(planned(project(SHORT), deterministic=True))


def test_a_run_left_to_torch_is_not_asked(project, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("accord.training.setup.order_fault", lambda device: "too late; do so")
    start_run(planned(project(SHORT), deterministic=False), tmp_path / "run")
    assert "too late" not in capsys.readouterr().err


def test_a_sitting_that_was_not_repeatable_is_remembered(stopped, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Setup, "is_repeatable", False)
        run = stopped({"training.epochs": 1}, 2)
    assert resume_run(run, quiet=True).results["repeatable"] is False
    assert not recorded(run)


def test_torch_is_set_for_the_run_alone(project, tmp_path, monkeypatch):
    """As it would be on a GPU: the wish is let through though the device is a CPU."""
    wishes, seen = [], []

    def ordered(wanted):
        wishes.append(wanted)
        return in_one_order()

    take = Learner.step

    def step(*arguments):
        seen.append(torch.are_deterministic_algorithms_enabled())
        return take(*arguments)

    monkeypatch.setattr("accord.training.run.in_one_order", ordered)
    monkeypatch.setattr(Learner, "step", step)
    start_run(plan_run(load_config(project(SHORT))).only, tmp_path / "run", quiet=True)
    assert wishes == [False]  # on a CPU
    assert seen == [True] * 3
    assert not torch.are_deterministic_algorithms_enabled()


def test_an_operation_without_an_order_names_the_key(project, tmp_path, monkeypatch):
    def step(*arguments):
        with in_one_order():
            torch.zeros(3).put_(torch.tensor([0]), torch.ones(1))

    monkeypatch.setattr(Learner, "step", step)
    run = tmp_path / "run"
    with pytest.raises(TrainingError) as raised:
        start_run(plan_run(load_config(project(SHORT))).only, run, quiet=True)
    assert str(raised.value) == (
        "training.deterministic: torch has no repeatable way to compute put_ here; deterministic ="
        f" false in {run / 'config.toml'} does without, and then 'accord resume {run}' goes on"
    )


def test_on_a_cpu_that_the_config_names_the_key_is_not_used(project, accord_cli):
    config = project({"training.device": "cpu", "training.deterministic": False})
    answer = accord_cli("check", config)
    assert "training.deterministic is not used: training.device is 'cpu'" in answer.err
