"""EMA and SWA in whole runs: what is saved, and that training doesn't see it."""

import pytest
import torch
from safetensors.torch import load_file
from torch.optim.swa_utils import AveragedModel

from accord.errors import Stopped
from accord.optim.averaging import trained
from accord.training.run import resume_run
from accord.training.step import Learner

METHODS = {
    "ema": {"averaging.method": "ema", "averaging.decay": 0.8},
    "swa": {"averaging.method": "swa", "averaging.start": 0.5, "averaging.every_steps": 2},
}
FIRST, LAST = 6, 12  # SWA's first step, and the run's last
every_method = pytest.mark.parametrize("method", METHODS)


def parameters(run, step=LAST):
    return load_file(run / "checkpoints" / f"step-{step}" / "parameters.safetensors")


def averages(run, step=LAST):
    table = load_file(run / "checkpoints" / f"step-{step}" / "method.safetensors")
    prefix = "average."
    return {n.removeprefix(prefix): own for n, own in table.items() if n.startswith(prefix)}


@pytest.mark.slow
@every_method
def test_training_is_the_same_to_the_bit(unbroken, method):
    one, other = parameters(unbroken()), parameters(unbroken(METHODS[method]))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.fixture
def followed(monkeypatch):
    """Follow every step of a run: what `follow` makes of (learner, steps so far)."""

    def arrange(follow):
        take_step = Learner.step

        def step(self, step, *rest):
            record = take_step(self, step, *rest)
            follow(self, step + 1)
            return record

        monkeypatch.setattr(Learner, "step", step)

    return arrange


def test_ema_against_a_loop_by_hand(project, train, tmp_path, followed):
    by_hand = {}

    def follow(learner, step):
        decay = min(0.8, (1 + step) / (10 + step))
        for name, parameter in learner.model.named_parameters():
            before = by_hand.get(name, start[name])
            by_hand[name] = decay * before + (1 - decay) * parameter.detach()

    start, take_first = {}, Learner.__init__

    def remember(self, *args, **options):
        take_first(self, *args, **options)
        start.update({n: p.detach().clone() for n, p in self.model.named_parameters()})

    followed(follow)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learner, "__init__", remember)
        run = train(project(METHODS["ema"]), tmp_path / "run")
    found = averages(run)
    assert by_hand.keys() == found.keys() - {"count"}
    for name, value in by_hand.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
def test_swa_against_torch(project, train, tmp_path, followed):
    theirs = []

    def follow(learner, step):
        if step < FIRST or (step - FIRST) % 2:
            return
        if not theirs:
            theirs.append(AveragedModel(learner.model))
        theirs[0].update_parameters(learner.model)

    followed(follow)
    run = train(project(METHODS["swa"]), tmp_path / "run")
    found = averages(run)
    assert int(found["count"]) == int(theirs[0].n_averaged) == 4
    for name, value in trained(theirs[0].module.named_parameters()):
        torch.testing.assert_close(found[name], value.detach(), rtol=1e-6, atol=1e-8)


@pytest.mark.quick("ema-8")
@pytest.mark.parametrize(
    ("method", "last"),
    [("ema", 8), pytest.param("swa", 5, marks=pytest.mark.slow), ("swa", 7),
     pytest.param("swa", 9, marks=pytest.mark.slow)],
)  # fmt: skip
def test_stopped_and_resumed_it_is_the_same_to_the_bit(
    project, train, unbroken, tmp_path, stop_after, outcome, method, last
):
    """Before SWA begins, between two of its samples, and after some."""
    config = project(METHODS[method])
    stop_after(last)
    with pytest.raises(Stopped):
        train(config, tmp_path / "run")
    resume_run(tmp_path / "run", quiet=True)
    whole = unbroken(METHODS[method])
    assert outcome(tmp_path / "run") == outcome(whole)
    one, other = averages(tmp_path / "run"), averages(whole)
    assert all(torch.equal(value, other[name]) for name, value in one.items())


@every_method
def test_a_model_kept_as_the_best_is_the_average(unbroken, method):
    run = unbroken({**METHODS[method], "training.epochs": 1})
    heads = load_file(run / "model" / "heads.safetensors")
    kept, raw = averages(run, 6), parameters(run, 6)
    for name, value in heads.items():
        assert torch.equal(value, kept[f"heads.{name}"])
        assert not torch.equal(value, raw[f"heads.{name}"])


def test_an_average_that_would_be_of_one_step_is_refused(project, accord_cli, tmp_path):
    config = project({"averaging.method": "swa", "averaging.every_steps": 1000})
    for call in (("train", config, "--out", tmp_path / "run"), ("check", config)):
        answer = accord_cli(*call)
        assert answer.code == 2
        assert "averaging.every_steps: 1000 steps after step " in answer.err
    assert not (tmp_path / "run").exists()
