"""Regularisers and gradual unfreezing in whole runs: resumed to the bit, and what they change."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from accord.config.file import load_config
from accord.plan.making import plan_run
from accord.training.setup import prepare

BOTH = {"training.regularisers": ["r-drop", "smart"]}
WAYS = {
    "both": {
        **BOTH, "training.micro_batch_tokens": 70, "tasks.near.targets": "popart",
        "training.gradients": "pcgrad", "methods.smart.beta": 0.9,
    },
    "weighted": {
        **BOTH, "training.micro_batch_tokens": 70, "tasks.mood.class_weights": "balanced",
        "tasks.mood.label_smoothing": 0.1, "tasks.same.class_weights": {"1": 5},
        "tasks.same.draw": "balanced", "tasks.mood.draw": "balanced",
    },
    "bfloat16": {
        **BOTH, "training.precision": "bfloat16", "encoder.gradient_checkpointing": True,
        "averaging.method": "ema",
    },
    "frozen": {"encoder.mode": "frozen", "training.regularisers": ["r-drop"]},
    "parts": {
        **BOTH, "sharing.schemes": ["lora", "own-layers"], "methods.lora.rank": 2, "layers": 2,
        "training.unfreeze_over": 0.7, "training.balancing": "gradnorm",
        "training.gradients": "gradvac", "training.granularity": "layer",
    },
    "unfreezing": {
        "training.unfreeze_over": 0.7, "training.balancing": "famo", "layers": 2,
    },
    "one-encoder-a-task": {
        **BOTH, "sharing.schemes": ["own-encoder"], "training.unfreeze_over": 0.5, "layers": 2,
    },
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("changes", WAYS.values(), ids=WAYS)
def test_killed_and_resumed_it_goes_on_to_the_bit(changes, killed_and_whole, outcome):
    run, whole = killed_and_whole(changes)
    assert outcome(run) == outcome(whole)
    one, other = (
        load_file(own / "checkpoints" / "step-6" / "method.safetensors") for own in (run, whole)
    )
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    averages = any(name.startswith("regulariser.") for name in one)
    assert averages is ("smart" in changes.get("training.regularisers", []))


@pytest.mark.slow
def test_layers_move_from_the_top_when_their_time_has_come(
    project, train, tmp_path, encoder_folder
):
    """12 steps, three groups within half of them: one more at the 3rd step, one at the 5th."""
    changes = {
        "training.unfreeze_over": 0.5, "checkpoint.every_steps": 1, "checkpoint.keep": 99,
        "training.warmup": 0.0, "training.weight_decay": 0.5, "layers": 2,
    }  # fmt: skip
    config = project(changes)
    before = dict(prepare(plan_run(load_config(config)).only).learner.model.named_parameters())
    run = train(config, tmp_path / "run")
    places = ("encoder.layers.1.", "encoder.pooler.", "encoder.layers.0.", "encoder.embeddings.")
    first: dict[str, int | None] = dict.fromkeys(places)
    for step in range(1, 13):
        file = run / "checkpoints" / f"step-{step}" / "parameters.safetensors"
        for name, value in load_file(file).items():
            place = next((own for own in places if name.startswith(own)), None)
            if place and first[place] is None and not torch.equal(value, before[name]):
                first[place] = step
    assert list(first.values()) == [1, 1, 3, 5]


@pytest.mark.slow
def test_a_log_s_gramian_and_losses_hold_the_terms(unbroken, metrics):
    once = {"training.epochs": 1}
    one, other = metrics(unbroken(once))[0], metrics(unbroken({**BOTH, **once}))[0]
    assert all(other["losses"][task] != loss for task, loss in one["losses"].items())
    assert other["gramian"] != one["gramian"]


@pytest.mark.slow
def test_a_run_says_what_it_adds_and_expects_to_take_longer(project, accord_cli, tmp_path):
    names = json.dumps(BOTH["training.regularisers"])
    config = project({"training.epochs": 1})
    answer = accord_cli(
        "train", config, "--out", tmp_path / "run", "--set", f"training.regularisers={names}"
    )
    assert answer.code == 0, answer.err
    assert "r-drop, smart" in answer.err
    setup = prepare(plan_run(load_config(project(BOTH))).only)
    assert setup.learner.objective.regularisation is not None
    # R-Drop a pass more, SMART one, an ascent of two thirds and a third by averaged weights.
    assert setup.learner.objective.regularisation.work == pytest.approx(1 + 1 + 2)


@pytest.mark.slow
def test_averages_begin_with_what_is_taken_over(project, train, tmp_path):
    """SMART's θ̃ is θ at the first step, also where heads and parts are an earlier run's."""
    run = train(project({"sharing.schemes": ["lora"], "training.epochs": 1}), tmp_path / "run")
    again = {
        "encoder.path": str(run / "model"), "encoder.heads": "keep", "sharing.schemes": ["lora"],
        "training.regularisers": ["smart"],
    }  # fmt: skip
    learner = prepare(plan_run(load_config(project(again))).only).learner
    weights = dict(learner.model.named_parameters())
    kept = learner.objective.regularisation.averages.tensors()
    assert kept.pop("count") == 0
    assert any("heads." in name for name in kept)
    assert all(torch.equal(value, weights[name]) for name, value in kept.items())


def test_r_drop_without_any_dropout_is_refused(project, accord_cli, tmp_path, encoder_folder):
    """The encoder's own rates are known once its folder is read."""
    folder = tmp_path / "dry"
    shutil.copytree(encoder_folder, folder)
    sizes = json.loads((folder / "config.json").read_text())
    rates = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(sizes | rates))
    changes = {"encoder.path": str(folder), "training.regularisers": ["r-drop"],
               "tasks.mood.dropout": 0.0}  # fmt: skip
    answer = accord_cli("train", project(changes, ("mood",)), "--out", tmp_path / "run")
    assert answer.code == 2
    assert "has no dropout, and 'r-drop' compares passes under two dropout masks" in answer.err
    assert not (tmp_path / "run").exists()
