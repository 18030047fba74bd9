"""Logits that say the mean of several models' answers, for every kind of head."""

import pytest
import torch
from torch import Tensor

from accord.kinds import labelled_kind
from accord.model.losses import LOSSES
from accord.tasks import Task

CLASSES = [
    Task("ce", "classification", "cross_entropy", "accuracy", labels=("a", "b", "c")),
    Task("bce", "classification", "binary_cross_entropy", "accuracy", labels=("a", "b")),
    Task("mse", "classification", "mse", "accuracy", labels=("a", "b")),
]
VALUES = [
    Task("mse", "regression", "mse", "pearson", range=(1.0, 5.0)),
    Task("bce", "regression", "binary_cross_entropy", "pearson", range=(-2.0, 2.0)),
]


def decode(logits: Tensor, task: Task) -> Tensor:
    return labelled_kind(task).decode(task, logits)


def probabilities(logits: Tensor, task: Task) -> Tensor:
    probabilities = labelled_kind(task).probabilities(task, logits)
    assert probabilities is not None
    return probabilities


def mean_logits(members: list[Tensor], task: Task) -> Tensor:
    return labelled_kind(task).mean_logits(task, members)


def targets(labels: Tensor, task: Task) -> Tensor:
    return labelled_kind(task).targets(task, labels)


def drawn(task: Task, members: int, scale: float = 1.0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(members)
    return [scale * torch.randn(50, task.outputs, generator=generator) for _ in range(members)]


@pytest.mark.parametrize("task", CLASSES, ids=lambda task: task.loss)
@pytest.mark.parametrize("members", [2, 5])
def test_probabilities_are_the_mean_of_the_members(task: Task, members: int) -> None:
    ours = drawn(task, members, 3.0)
    expected = torch.stack([probabilities(one, task) for one in ours]).mean(0)
    actual = probabilities(mean_logits(ours, task), task)
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-6)
    clear = (expected.max(1).values - expected.min(1).values) > 1e-4
    agree = decode(mean_logits(ours, task), task)[clear] == expected.argmax(1)[clear]
    assert bool(agree.all())


@pytest.mark.parametrize("task", VALUES, ids=lambda task: task.loss)
def test_values_are_the_mean_of_the_members(task: Task) -> None:
    ours = drawn(task, 3)
    expected = torch.stack([decode(one, task) for one in ours]).mean(0)
    torch.testing.assert_close(decode(mean_logits(ours, task), task), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("task", [*CLASSES, *VALUES], ids=lambda task: f"{task.kind} {task.loss}")
def test_one_member_is_itself(task: Task) -> None:
    (ours,) = drawn(task, 1)
    assert mean_logits([ours], task) is ours


@pytest.mark.parametrize("task", CLASSES, ids=lambda task: task.loss)
def test_members_that_are_sure_leave_a_finite_loss(task: Task) -> None:
    ours = [torch.full((4, task.outputs), 1e4), torch.full((4, task.outputs), 1e4)]
    for one in ours:
        one[:2] *= -1
        one[:, 0] *= -1
    logits = mean_logits(ours, task)
    assert bool(logits.isfinite().all())
    wanted = targets(torch.zeros(4, dtype=torch.float64), task)
    assert bool(LOSSES[task.loss](logits, wanted).isfinite().all())
