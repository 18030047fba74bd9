"""A run whose best model is a soup of its epochs: what it leaves, stopped anywhere or not."""

import csv
import json

import pytest
import torch
from safetensors.torch import load_file

from accord.config.file import load_config
from accord.plan.making import plan_run
from accord.training.run import resume_run
from accord.training.setup import prepare

# Steps so small that every epoch predicts the same: equals join, so the soup is of all epochs.
ALIKE = {
    "averaging.method": "soup", "training.lr": 1e-6, "training.head_lr": 1e-6,
    "training.epochs": 3, "training.steps_per_epoch": 3,
}  # fmt: skip
TASKS = ("mood", "same")
LIVELY = {"averaging.method": "soup", "training.lr": 3e-3, "training.epochs": 4,
          "training.steps_per_epoch": 3}  # fmt: skip


def results_of(run):
    return json.loads((run / "results.json").read_text())


@pytest.fixture
def stopped_soup(stopped_copy):
    """A run of like epochs that was stopped: (last step)."""
    return lambda last, changes=ALIKE: stopped_copy(changes, last, TASKS)


@pytest.fixture
def whole(unbroken, outcome):
    """What such a run leaves that nobody stops."""
    return lambda changes=ALIKE: outcome(unbroken(changes, TASKS))


def test_the_model_is_the_mean_of_the_epochs_in_it(project, train, tmp_path, monkeypatch):
    monkeypatch.setattr("accord.training.run.tidy", lambda run: None)
    run = train(project(ALIKE, TASKS), tmp_path / "run")
    assert sorted(results_of(run)["soup"]["epochs"]) == [1, 2, 3]
    kept = [load_file(file) for file in sorted((run / "kept").glob("*/weights.safetensors"))]
    assert len(kept) == 3
    heads = load_file(run / "model" / "heads.safetensors")
    for name, value in heads.items():
        mean = torch.stack([own[f"heads.{name}"] for own in kept]).mean(0)
        torch.testing.assert_close(value, mean, rtol=1e-6, atol=1e-8)
        assert not torch.equal(value, kept[0][f"heads.{name}"])
    words = load_file(run / "model" / "model.safetensors")["embeddings.word_embeddings.weight"]
    mean = torch.stack([own["encoder.embeddings.word"] for own in kept]).mean(0)
    torch.testing.assert_close(words, mean, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_it_is_no_worse_than_the_best_epoch_and_is_what_the_run_leaves(unbroken, accord_cli, seed):
    run = unbroken({**LIVELY, "training.seed": seed})
    results = results_of(run)
    soup = results["soup"]
    assert soup["sum"] >= max(epoch["sum"] for epoch in results["epochs"])
    assert soup["epochs"][0] == results["best_epoch"]
    assert results["metrics"] == soup["metrics"]
    assert not {"kept", "best"} & {path.name for path in run.iterdir()}
    found = json.loads(accord_cli("evaluate", run, "--json").out)
    for task, value in results["metrics"].items():
        assert found[task][results["metric_names"][task]] == pytest.approx(value, abs=1e-6)
    rows = list(csv.DictReader((run / "predictions" / "mood-dev.csv").read_text().splitlines()))
    right = sum(row["label"] == row["prediction"] for row in rows)
    assert right / len(rows) == pytest.approx(results["metrics"]["mood"])


@pytest.mark.slow
def test_training_goes_on_as_without_one(unbroken, metrics):
    soup = {**LIVELY, "training.seed": 0}
    plain = {key: value for key, value in soup.items() if key != "averaging.method"}
    one, other = unbroken(soup), unbroken(plain)
    for kind in ("step", "dev"):
        for line, own in zip(metrics(one, kind), metrics(other, kind), strict=True):
            assert {k: v for k, v in line.items() if "second" not in k} == {
                k: v for k, v in own.items() if "second" not in k
            }
    last = [
        load_file(run / "checkpoints" / "step-12" / "parameters.safetensors")
        for run in (one, other)
    ]
    assert all(torch.equal(value, last[1][name]) for name, value in last[0].items())


@pytest.mark.quick("7-frozen")
@pytest.mark.parametrize("extra", [{}, {"encoder.mode": "frozen"}], ids=["finetune", "frozen"])
@pytest.mark.parametrize("last", [pytest.param(4, marks=pytest.mark.slow), 7])
def test_stopped_and_resumed_it_is_the_same_to_the_bit(stopped_soup, whole, outcome, last, extra):
    changes = {**ALIKE, **extra}
    run = stopped_soup(last, changes)
    resume_run(run, quiet=True)
    assert outcome(run) == whole(changes)


@pytest.mark.slow
@pytest.mark.parametrize(
    "place",
    [
        "accord.training.loop.save_checkpoint",
        "accord.training.epoch_soup.publish",
        "accord.training.heldout.write_scores",
        "accord.training.outcome.exposures",
    ],
    ids=["kept-but-not-named", "made-but-not-shown", "chosen-by-halves", "shown-but-not-done"],
)
def test_killed_around_a_soup(stopped_soup, whole, outcome, monkeypatch, place):
    run = stopped_soup(7)

    def die(*rest, **options):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(place, die)
        with pytest.raises(MemoryError):
            resume_run(run, quiet=True)
    assert (run / "kept" / "step-9").is_dir()
    resume_run(run, quiet=True)
    assert outcome(run) == whole()


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["flipped", "lost"])
def test_damaged_weights_of_an_epoch_are_made_again(stopped_soup, whole, outcome, harm):
    run = stopped_soup(7)
    file = run / "kept" / "step-6" / "weights.safetensors"
    if harm == "flipped":
        content = bytearray(file.read_bytes())
        content[-3] ^= 1
        file.write_bytes(content)
    else:
        file.unlink()
    resume_run(run, quiet=True)
    log = (run / "log.txt").read_text()
    assert "resuming after step 3 of 9" in log
    assert outcome(run) == whole()


def test_a_run_that_kept_no_epochs_can_t_become_one(stopped, accord_cli):
    run = stopped({"averaging.decay": 0.9}, 8)
    config = run / "config.toml"
    config.write_text(config.read_text() + '\n[averaging]\nmethod = "soup"\n')
    text = config.read_text().replace("[averaging]\ndecay = 0.9\n", "", 1)
    config.write_text(text)
    answer = accord_cli("resume", run, "--force", "--quiet")
    assert answer.code == 2
    assert answer.err.count("\n") == 1
    assert "kept no weights of its epochs" in answer.err


def test_popart_is_refused_in_one_line(project, accord_cli, tmp_path):
    changes = {"averaging.method": "soup", "tasks.near.targets": "popart"}
    answer = accord_cli("train", project(changes), "--out", tmp_path / "run")
    assert answer.code == 2
    assert answer.err.count("\n") == 1
    assert "averaging.method: averages of weights whose scale moves" in answer.err


@pytest.mark.parametrize(("method", "copies"), [("none", 0), ("ema", 1), ("swa", 1), ("soup", 2)])
def test_the_estimate_counts_the_copies(project, monkeypatch, method, copies):
    found = []
    monkeypatch.setattr(
        "accord.training.setup.estimate", lambda config, work, *rest: found.append(work)
    )
    setup = prepare(plan_run(load_config(project({"averaging.method": method}))).only)
    setup.estimate()
    assert found[0].averaged == copies * sum(p.numel() for p in setup.learner.model.parameters())
