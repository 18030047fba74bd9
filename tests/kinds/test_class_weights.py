"""Weights of classes and label smoothing, beside torch's and scikit-learn's own."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from planned import planned
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional as F

from accord.errors import ConfigError
from accord.kinds import kind_of, labelled_kind
from accord.tasks import Task

PLAN = planned(kind="classification", train="t.csv", text="t", class_weights="balanced")


def task_of(classes: int, **changes) -> Task:
    labels = tuple(f"c{i}" for i in range(classes))
    return Task("t", "classification", "cross_entropy", "accuracy", labels=labels, **changes)


@pytest.mark.parametrize("seed", range(20))
def test_the_loss_is_torchs_weighted_by_the_label(seed):
    rng, torch_rng = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    classes, rows = int(rng.integers(2, 40)), int(rng.integers(1, 30))
    smoothing = float(rng.choice([0, rng.uniform(0, 1)]))
    weights = tuple(rng.uniform(0.01, 50, classes).tolist())
    logits = 10 * torch.randn(rows, classes, generator=torch_rng)
    labels = torch.from_numpy(rng.integers(0, classes, rows))
    task = task_of(classes, class_weights=weights, label_smoothing=smoothing)
    kind = labelled_kind(task)
    ours = kind.training_loss(task, logits, kind.targets(task, labels))
    plain = F.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)
    torch.testing.assert_close(ours, torch.tensor(weights)[labels] * plain)
    # Szegedy's own form, and figures that know of neither.
    shares = (1 - smoothing) * F.one_hot(labels, classes) + smoothing / classes
    torch.testing.assert_close(plain, -(shares * logits.log_softmax(1)).sum(1))
    figure = kind.evaluate(task, labels.numpy(), logits).figures["loss"]
    assert figure == pytest.approx(float(F.cross_entropy(logits.double(), labels)), rel=1e-5)


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "mse"])
def test_one_logit_is_weighted_too(loss):
    task = replace(task_of(2, class_weights=(0.5, 8.0)), loss=loss)
    logits, targets = torch.randn(6, 1), torch.tensor([0.0, 1, 1, 0, 1, 0])
    kind = labelled_kind(task)
    ratio = kind.training_loss(task, logits, targets) / kind.loss(task, logits, targets)
    torch.testing.assert_close(ratio, 0.5 + 7.5 * targets)


def test_without_them_the_bits_stay():
    task, logits, targets = task_of(3), torch.randn(9, 3), torch.arange(9) % 3
    kind = labelled_kind(task)
    assert torch.equal(kind.training_loss(task, logits, targets), kind.loss(task, logits, targets))


@pytest.mark.parametrize("seed", range(20))
def test_balanced_weights_are_scikit_learns_and_of_mean_1(seed):
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(2, 30))
    shares = rng.dirichlet(np.full(classes, 0.3))
    labels = np.concatenate([np.arange(classes), rng.choice(classes, 300, p=shares)])
    settled = kind_of(task_of(classes)).settled(task_of(classes), PLAN, labels)
    expected = compute_class_weight("balanced", classes=np.arange(classes), y=labels)
    np.testing.assert_allclose(settled.class_weights, expected, rtol=1e-14)
    assert np.array(settled.class_weights)[labels].mean() == pytest.approx(1)
    assert Task.from_json(json.loads(json.dumps(settled.to_json()))) == settled
    with pytest.raises(ConfigError, match=r"'balanced' goes by .* 'c0' and 1 more has none"):
        kind_of(settled).settled(task_of(classes), PLAN, labels[labels > 1])


def test_a_class_that_a_table_names_twice_is_refused():
    for given in ({"1": 1, "1.0": 2}, {"a": 1, " a": 1}):
        with pytest.raises(ValueError, match=r"class_weights: .* each once"):
            planned(kind="classification", train="t.csv", text="t", class_weights=given)


def test_weights_of_no_task_are_refused():
    table = task_of(2).to_json()
    for weights in ([1.0], [1.0, 0.0], [1.0, -1.0], [1.0, float("nan")], ["1", 2.0], [1.0] * 3):
        with pytest.raises(ValueError, match=r"^class_weights are"):
            Task.from_json({**table, "class_weights": weights})
    for smoothing in (1, -0.5, "0.1", None):
        with pytest.raises(ValueError, match="label_smoothing"):
            Task.from_json({**table, "label_smoothing": smoothing})
    with pytest.raises(ValueError, match=r"^label_smoothing is 0.1 under loss 'mse'"):
        Task.from_json({**table, "loss": "mse", "label_smoothing": 0.1})
