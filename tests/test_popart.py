"""PopArt: outputs stay as its scale moves, and a saved head says the same without it."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from accord.heads import Head
from accord.losses import mse
from accord.popart import BETA
from accord.tasks import Task

TASK = Task("sts", "regression", "mse", "pearson", range=(0, 5), dropout=0, targets="popart")


@pytest.fixture
def head() -> Head:
    torch.manual_seed(0)
    return Head(TASK, 8, std=0.5)


def batches(count: int, mean: float = 0.7, std: float = 0.05) -> list[Tensor]:
    drawn = torch.Generator().manual_seed(1)
    return [mean + std * torch.randn(16, generator=drawn) for _ in range(count)]


def test_nothing_that_the_head_says_changes_when_its_scale_moves(head: Head) -> None:
    x = torch.randn(5, 8)
    before = head(x)
    for targets in (*batches(20), *batches(5, 0.1, 0.3)):
        head.observe(targets)
        torch.testing.assert_close(head(x), before, rtol=1e-4, atol=1e-5)


def test_the_moments_are_those_of_the_targets(head: Head) -> None:
    assert head.scale is not None
    (first, *rest) = batches(800)
    head.observe(first)
    assert float(head.scale.mean) == pytest.approx(float(first.mean()))
    assert float(head.scale.std) == pytest.approx(float(first.std(correction=0)), rel=1e-4)
    for targets in rest:
        head.observe(targets)
    assert float(head.scale.mean) == pytest.approx(0.7, abs=0.005)
    assert float(head.scale.std) == pytest.approx(0.05, rel=0.1)


def test_a_moving_average_by_hand(head: Head) -> None:
    assert head.scale is not None
    for value in (1.0, 3.0):
        head.observe(torch.tensor([value]))
    weight = 1 - BETA
    expected = (weight * 1.0 + 3.0) / (weight + 1)
    assert float(head.scale.mean) == pytest.approx(expected)


def test_equal_targets_leave_a_finite_scale(head: Head) -> None:
    for _ in range(3):
        head.observe(torch.full((4,), 0.5))
    assert head.scale is not None
    assert float(head.scale.std) == pytest.approx(1e-4)
    assert bool(head(torch.randn(3, 8)).isfinite().all())


def test_the_loss_and_its_gradients_are_those_of_normalised_targets(head: Head) -> None:
    targets = torch.rand(6)
    head.observe(targets * 0.3)
    x, scale = torch.randn(6, 8), head.scale
    assert scale is not None
    assert head.linear is not None
    ours = scale.losses(mse(head(x), targets))
    normalised = (targets - scale.mean.float()) / scale.std.float()
    plain = (head.linear(x)[:, 0] - normalised).square()
    torch.testing.assert_close(ours, plain)
    for one, other in zip(
        torch.autograd.grad(ours.sum(), list(head.parameters())),
        torch.autograd.grad(plain.sum(), list(head.parameters())), strict=True,
    ):  # fmt: skip
        torch.testing.assert_close(one, other)


def test_a_saved_head_says_the_same(head: Head) -> None:
    for targets in batches(10):
        head.observe(targets)
    loaded = Head(TASK, 8)
    loaded.load_state_dict(head.plain_state())
    plain = Head(replace(TASK, targets="range"), 8)
    plain.load_state_dict(head.plain_state())
    x = torch.randn(4, 8)
    torch.testing.assert_close(loaded(x), head(x), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(plain(x), head(x), rtol=1e-5, atol=1e-6)


def test_a_plain_head_follows_nothing() -> None:
    own = Head(replace(TASK, targets="range"), 8)
    before = own.plain_state()["linear.weight"].clone()
    own.observe(torch.ones(4))
    assert own.scale is None
    assert torch.equal(own.plain_state()["linear.weight"], before)
    assert not dict(own.named_buffers())
