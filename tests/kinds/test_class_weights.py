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
from accord.kinds.multi_label import MultiLabelTask
from accord.model.label_sets import LabelSetHead
from accord.model.ordinal import OrdinalHead
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
    sets = (torch.arange(27).view(9, 3) % 2).float()
    for task, targets in ((task_of(3), torch.arange(9) % 3), (sets_of(3), sets)):
        logits, kind = torch.randn(9, 3), labelled_kind(task)
        plain = kind.loss(task, logits, targets)
        assert torch.equal(kind.training_loss(task, logits, targets), plain)


def sets_of(labels: int, **changes) -> MultiLabelTask:
    names = tuple(f"c{i}" for i in range(labels))
    return MultiLabelTask(
        "t", "multi-label", "binary_cross_entropy", "micro_f1", labels=names, **changes
    )


@pytest.mark.parametrize("seed", range(20))
def test_an_ordinal_loss_is_weighted_by_the_class_of_its_row(seed):
    rng, torch_rng = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    classes, rows = int(rng.integers(2, 12)), int(rng.integers(1, 30))
    weights = tuple(rng.uniform(0.01, 50, classes).tolist())
    task = Task("t", "ordinal", "coral", "mae", labels=task_of(classes).labels,
                class_weights=weights)  # fmt: skip
    kind, logits = labelled_kind(task), torch.randn(rows, classes - 1, generator=torch_rng)
    labels = rng.integers(0, classes, rows)
    ours = kind.training_loss(task, logits, kind.targets(task, torch.from_numpy(labels)))
    above = logits.sigmoid().numpy()
    expected = [
        -weights[label] * sum(np.log(p if label > k else 1 - p) for k, p in enumerate(steps))
        for label, steps in zip(labels, above, strict=True)
    ]
    np.testing.assert_allclose(ours, expected, rtol=1e-4)


@pytest.mark.parametrize("seed", range(20))
def test_label_sets_are_weighted_as_torch_s_pos_weight(seed):
    rng, torch_rng = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    labels, rows = int(rng.integers(1, 20)), int(rng.integers(2, 60))
    weights = tuple(rng.uniform(0.01, 50, labels).tolist())
    task = sets_of(labels, class_weights=weights)
    kind, logits = labelled_kind(task), 5 * torch.randn(rows, labels, generator=torch_rng)
    targets = torch.from_numpy((rng.random((rows, labels)) < 0.3).astype(np.uint8))
    ours = kind.training_loss(task, logits, kind.targets(task, targets)).mean()
    theirs = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(weights))(logits, targets.float())
    torch.testing.assert_close(ours, theirs)
    figure = kind.evaluate(task, targets.numpy(), logits).figures["loss"]  # knows of none
    plain = torch.nn.BCEWithLogitsLoss()(logits.double(), targets.double())
    assert figure == pytest.approx(float(plain), rel=1e-5)


@pytest.mark.parametrize("seed", range(20))
def test_balanced_labels_count_as_much_as_their_absence(seed):
    """As much as scikit-learn's balanced weights of a label's two values, whose ratio it is."""
    rng = np.random.default_rng(seed)
    labels, rows = int(rng.integers(1, 12)), int(rng.integers(10, 200))
    targets = (rng.random((rows, labels)) < rng.uniform(0.02, 0.98, labels)).astype(np.uint8)
    targets[0], targets[1] = 0, 1  # of each label a row with it and one without
    task = sets_of(labels)
    plan = planned(kind="multi-label", train="t.csv", text="t", class_weights="balanced")
    settled = kind_of(task).settled(task, plan, targets)
    for column, weight in zip(targets.T, settled.class_weights, strict=True):
        no, yes = compute_class_weight("balanced", classes=np.array([0, 1]), y=column)
        assert weight == pytest.approx(yes / no, rel=1e-12)
    assert Task.from_json(json.loads(json.dumps(settled.to_json()))) == settled
    for value, words in ((0, "has none"), (1, "stands in all of them")):
        targets[:, 0] = value
        with pytest.raises(ConfigError, match=f"tasks.t.class_weights: .* 'c0' {words}"):
            kind_of(task).settled(task, plan, targets)


def test_columns_are_weighted_by_their_names_however_spelt():
    plan = planned(kind="multi-label", train="t.csv", text="t", label=["True", "1.0", "b"],
                   class_weights={"true": 3, "1": 2})  # fmt: skip
    assert kind_of(sets_of(1)).resolve("t", plan, None).class_weights == (3.0, 2.0, 1.0)


@pytest.mark.parametrize("kind", ["ordinal", "multi-label"])
def test_a_head_begins_where_the_weighted_loss_of_a_constant_is_least(kind):
    """To within the one row of each class that is counted more."""
    rng = np.random.default_rng(0)
    if kind == "ordinal":
        task = Task("t", kind, "coral", "mae", labels=tuple("abcd"), class_weights=(9, 0.5, 1, 20))
        targets = torch.from_numpy(rng.choice(4, 100_000, p=[0.1, 0.6, 0.29, 0.01]))
        head = OrdinalHead(task, 6)
    else:
        task = sets_of(3, class_weights=(9.0, 0.5, 1.0))
        targets = torch.from_numpy(rng.random((100_000, 3)) < [0.02, 0.5, 0.9]).float()
        head = LabelSetHead(task, 6)
    head.begin(targets)
    logits = (head.biases if kind == "ordinal" else head.linear.bias).detach().clone()
    logits.requires_grad_()
    losses = labelled_kind(task).training_loss(task, logits.expand(len(targets), -1), targets)
    (gradient,) = torch.autograd.grad(losses.mean(), logits)
    torch.testing.assert_close(gradient, torch.zeros_like(logits), atol=1e-3, rtol=0)
    assert logits.detach().abs().max() > 0.5


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
