"""Fixed weights of tasks that read the same rows, from a config to a step, a search and a grid."""

import csv
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from accord.config.file import parse_config
from accord.encoders.pretrained import save_encoder
from accord.grids.amounts import Sizes
from accord.plan.making import plan_run
from accord.training.setup import prepare
from accord.tuning.space import _by_shares

KINDS = {"mood": "classification", "topic": "classification", "score": "regression"}


@pytest.fixture
def planned(tiny_tokenizer, tiny_encoder, tmp_path: Path, monkeypatch):
    """Plan a run of two tasks that share rows and one alone: (the config's other sections)."""
    save_encoder(tiny_encoder(max_position_embeddings=16), tmp_path / "tiny")
    monkeypatch.setenv("ACCORD_CACHE", str(tmp_path / "cache"))
    rng = random.Random(0)
    for name, rows in (("shared", 40), ("alone", 25)):
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", *KINDS])
            for i in range(rows):
                text = " ".join(rng.choices("abcdefg", k=3 + i % 4))
                mood = "" if i % 3 == 0 else "ud"[i % 2]
                writer.writerow([text, mood, "" if i % 3 == 1 else "xy"[i % 2], i / 9])

    def make(weights: dict[str, float] | None = None, **training):
        files = dict.fromkeys(("mood", "topic"), "shared.csv") | {"score": "alone.csv"}
        tasks = {
            name: {
                "kind": kind, "label": name, "text": "text", "train": str(tmp_path / files[name]),
                "dev": str(tmp_path / files[name]), "unlabelled": "skip", "dropout": 0.0,
            }
            for name, kind in KINDS.items()
        }  # fmt: skip
        settings = {"epochs": 1, "batch_size": 8, "batching": "proportional", **training}
        methods = {"fixed": {"weights": weights}} if weights is not None else {}
        table = {
            "encoder": {"path": str(tmp_path / "tiny"), "dropout": 0.0}, "tasks": tasks,
            "training": settings | ({"balancing": "fixed"} if methods else {}),
            "methods": methods,
        }  # fmt: skip
        return plan_run(parse_config(table)).only

    return make


def test_weights_act_within_a_source_and_on_single_tasks(planned):
    setup = prepare(planned({"mood": 0.25, "score": 3.0}))
    batch = setup.batch(0)
    model, columns = setup.learner.model, list(setup.learner.model.encoder.parameters())
    (micro,) = batch.passes
    pooled = model.pooled(micro.inputs, batch.present, views=micro.views)
    losses = model.losses(pooled, micro.targets, batch.present)
    weights = {"mood": 0.25, "topic": 1.0, "score": 3.0}
    named = [setup.data.tasks[i].name for i in batch.present]
    assert set(named) == set(weights)
    total = sum(weights[n] * each.mean() for n, each in zip(named, losses, strict=True))
    heads = [p for task in named for p in model.heads[task].parameters()]
    expected = torch.autograd.grad(total, [*columns, *heads], allow_unused=True)
    measured = setup.learner.measure(0, batch)
    decision = setup.learner.decide(0, batch, measured)
    assert decision.balance.tolist() == [1.0, 3.0]
    setup.learner.clip = 0
    setup.learner.apply(0, batch, measured, decision)
    for parameter, gradient in zip([*columns, *heads], expected, strict=True):
        ours, theirs = (
            torch.zeros_like(parameter) if each is None else each
            for each in (parameter.grad, gradient)
        )
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("silent", [{"mood"}, {"mood", "topic"}, {"score"}])
def test_of_weight_0_nothing_learns_or_decays(planned, silent):
    setup = prepare(planned(dict.fromkeys(silent, 0.0)))
    heads = setup.learner.model.heads
    before = {n: [p.detach().clone() for p in heads[n].parameters()] for n in KINDS}
    for step in range(3):
        setup.learner.step(step, setup.batch(step), 1.0)
    for name in KINDS:
        same = [torch.equal(*pair) for pair in zip(before[name], heads[name].parameters(),
                                                   strict=True)]  # fmt: skip
        assert all(same) == (name in silent)


def test_a_search_begins_with_the_weights_of_a_source(planned):
    plan = planned()
    setup, weights = prepare(planned(balancing="inverse-share")), _by_shares(plan)
    balance = setup.learner.decide(0, batch := setup.batch(0), setup.learner.measure(0, batch))
    assert weights["mood"] == weights["topic"]
    assert [weights["mood"], weights["score"]] == pytest.approx(balance.balance.tolist())


def test_a_grid_counts_a_source_once(planned):
    sizes = Sizes(lambda text: None).of(planned())
    assert {name: size.rows for name, size in sizes.items()} == {"mood+topic": 40, "score": 25}
    setup = prepare(planned())
    lengths = setup.sources[0].lengths(setup.data.assembler)
    assert sizes["mood+topic"].tokens == pytest.approx(np.mean(lengths))
