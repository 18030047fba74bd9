"""PopArt: outputs stay as its scale moves, and a saved head says the same without it."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from accord.model.heads import Head
from accord.model.losses import mse
from accord.model.popart import BETA
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


def test_it_begins_with_the_moments_of_all_targets_and_follows_them(head: Head) -> None:
    assert head.scale is not None
    everything = torch.cat(batches(50))
    head.begin(everything)
    assert float(head.scale.mean) == pytest.approx(float(everything.mean()))
    assert float(head.scale.std) == pytest.approx(float(everything.std(correction=0)), rel=1e-4)
    for targets in batches(800, 0.3, 0.1):
        head.observe(targets)
    assert float(head.scale.mean) == pytest.approx(0.3, abs=0.01)
    assert float(head.scale.std) == pytest.approx(0.1, rel=0.1)


def test_a_moving_average_by_hand(head: Head) -> None:
    assert head.scale is not None
    head.begin(torch.tensor([1.0, 1.0]))
    head.observe(torch.tensor([3.0]))
    assert float(head.scale.mean) == pytest.approx((1 - BETA) * 1.0 + BETA * 3.0)


def test_a_batch_of_one_moves_the_scale_little(head: Head) -> None:
    head.begin(torch.cat(batches(20, 0.5, 0.2)))
    assert head.scale is not None
    before = float(head.scale.std)
    head.observe(torch.tensor([0.5]))
    assert float(head.scale.std) == pytest.approx(before, rel=0.02)


def test_equal_targets_leave_a_finite_scale(head: Head) -> None:
    head.begin(torch.full((4,), 0.5))
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
    head = Head(replace(TASK, targets="range"), 8)
    before = head.plain_state()["linear.weight"].clone()
    head.observe(torch.ones(4))
    assert head.scale is None
    assert torch.equal(head.plain_state()["linear.weight"], before)
    assert not dict(head.named_buffers())
