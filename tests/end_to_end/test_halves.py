"""Measuring the noise in gradients' cosines: what it gives, and that it changes nothing."""

import json

import pytest
import torch


def lines(run, kind):
    actual = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [line for line in actual if line["kind"] == kind]


@pytest.mark.parametrize("gradients", [pytest.param("sum", marks=pytest.mark.slow), "pcgrad"])
def test_measuring_changes_no_bit_of_the_run(project, train, tmp_path, outcome, gradients):
    changes = {"training.gradients": gradients, "training.epochs": 1}
    plain = train(project(changes), tmp_path / "plain")
    measured = train(project({**changes, "training.halves_every": 2}), tmp_path / "measured")
    one, other = outcome(plain), outcome(measured)
    halves = [line for line in other["metrics.jsonl"] if line["kind"] == "halves"]
    for each in (one, other):  # made by other settings
        described = json.loads(each["model/accord.json"])
        each["model/accord.json"] = [{**task, "made": None} for task in described["tasks"]]
    other["metrics.jsonl"] = [line for line in other["metrics.jsonl"] if line not in halves]
    assert one == other
    assert [line["step"] for line in halves] == [2, 4, 6]
    for line in halves:
        # The last batch of 9 rows by fours has one, which has no halves.
        assert {"mood", "same"} <= set(line["cosines"]) <= {"mood", "same", "near"}
        assert all(-1 <= value <= 1 for value in line["cosines"].values())


def test_the_cosine_is_that_of_two_backward_passes(project, monkeypatch):
    from accord.config.file import load_config
    from accord.data.batches import step_batch
    from accord.plan.making import plan_run
    from accord.training.halves import half_cosines
    from accord.training.setup import prepare

    config = {"encoder.dropout": 0.0, **{f"tasks.{t}.dropout": 0.0 for t in ("mood", "same")}}
    setup = prepare(plan_run(load_config(project(config, ("mood", "same")))).only)
    learner, drawn = setup.learner, setup.sampler.draw(0)
    learner.model.train()
    actual = half_cosines(learner, drawn, setup.sources, setup.data.assembler, 0)
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in
               learner.model.parameters())  # fmt: skip
    for i, name in enumerate(("mood", "same")):
        gradients = []
        for half in (slice(0, 2), slice(2, 4)):
            rows = [each[half] if j == i else each[:0] for j, each in enumerate(drawn)]
            batch = step_batch(rows, setup.sources, setup.data.assembler, setup.device)
            learner.model.zero_grad()
            (loss,) = learner.objective.means(0, batch)
            loss.backward()
            gradients.append(torch.cat([
                p.grad.flatten() for p in learner.model.encoder.parameters() if p.grad is not None
            ]))  # fmt: skip
        wanted = torch.cosine_similarity(*gradients, dim=0)
        assert actual[name] == pytest.approx(float(wanted), abs=1e-5)


def test_a_frozen_encoder_has_none(project, train, tmp_path):
    changes = {"encoder.mode": "frozen", "training.halves_every": 1, "training.epochs": 1}
    run = train(project(changes), tmp_path / "run")
    assert lines(run, "halves") == []
