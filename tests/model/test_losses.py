import math

import pytest
import torch
from torch.nn import functional as F

from accord.kinds import labelled_kind
from accord.model.losses import LOSSES
from accord.tasks import Task

REGRESSION = Task("sts", "pair-regression", "mse", "pearson", range=(-1.0, 5.0))
CLASSES = Task("sst", "classification", "cross_entropy", "accuracy", labels=("a", "b", "c"))


def targets(labels: torch.Tensor, task: Task) -> torch.Tensor:
    return labelled_kind(task).targets(task, labels)


def test_cross_entropy_is_torchs() -> None:
    logits, labels = torch.randn(6, 3), torch.tensor([0.0, 1, 2, 2, 1, 0])
    ours = LOSSES["cross_entropy"](logits, labels)
    assert ours.shape == (6,)
    torch.testing.assert_close(ours.mean(), F.cross_entropy(logits, labels.long()))
    expected = -torch.log_softmax(logits, 1)[torch.arange(6), labels.long()]
    torch.testing.assert_close(ours, expected)


def test_binary_cross_entropy_is_torchs() -> None:
    logits, wanted = torch.randn(5, 1) * 3, torch.tensor([0.0, 1, 0.25, 1, 0])
    ours = LOSSES["binary_cross_entropy"](logits, wanted)
    expected = F.binary_cross_entropy(torch.sigmoid(logits[:, 0]), wanted, reduction="none")
    torch.testing.assert_close(ours, expected)


def test_binary_cross_entropy_far_out_is_finite() -> None:
    logits = torch.tensor([[1e4], [-1e4]])
    assert LOSSES["binary_cross_entropy"](logits, torch.tensor([0.0, 1.0])).tolist() == [1e4, 1e4]


def test_mse_is_torchs() -> None:
    logits, wanted = torch.randn(5, 1), torch.rand(5)
    ours = LOSSES["mse"](logits, wanted)
    torch.testing.assert_close(ours, F.mse_loss(logits[:, 0], wanted, reduction="none"))
    assert LOSSES["mse"](torch.tensor([[3.0]]), torch.tensor([0.5])).tolist() == [6.25]


@pytest.mark.parametrize("name", LOSSES)
def test_one_number_an_example(name: str) -> None:
    """Not [n, n], as a target [n] against logits [n, 1] would broadcast."""
    logits = torch.randn(4, 3 if name == "cross_entropy" else 1)
    assert LOSSES[name](logits, torch.tensor([0.0, 1, 1, 0])).shape == (4,)


def test_a_range_becomes_0_to_1() -> None:
    scaled = targets(torch.tensor([-1.0, 5.0, 2.0, 0.5], dtype=torch.float64), REGRESSION)
    assert scaled.dtype == torch.float32
    assert scaled.tolist() == [0.0, 1.0, 0.5, 0.25]


def test_class_indices_stay() -> None:
    scaled = targets(torch.tensor([0.0, 2.0, 1.0], dtype=torch.float64), CLASSES)
    assert scaled.dtype == torch.float32
    assert scaled.tolist() == [0.0, 2.0, 1.0]


def test_range_does_not_touch_classes() -> None:
    task = Task("q", "classification", "mse", "accuracy", labels=("0", "1"), range=(0.0, 5.0))
    assert targets(torch.tensor([1.0]), task).tolist() == [1.0]
    assert math.isclose(float(LOSSES["mse"](torch.tensor([[0.5]]), torch.ones(1))), 0.25)
