"""Averages of weights, by hand and against torch's."""

import contextlib

import pytest
import torch
from torch.nn import Linear, Parameter
from torch.optim.swa_utils import AveragedModel

from accord.optim.averaging import Averages


@pytest.fixture
def walk() -> list[torch.Tensor]:
    drawn = torch.Generator().manual_seed(0)
    return [torch.randn(3, generator=drawn) for _ in range(12)]


def follow(ours: Averages, parameter: Parameter, walk: list[torch.Tensor]) -> torch.Tensor:
    for step, value in enumerate(walk, start=1):
        with torch.no_grad():
            parameter.copy_(value)
        ours.update(step)
    return ours.values[0]


def test_ema_by_hand(walk: list[torch.Tensor]) -> None:
    parameter = Parameter(torch.ones(3))
    expected = torch.ones(3)
    for step, value in enumerate(walk, start=1):
        decay = min(0.7, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    actual = follow(Averages([("w", parameter)], 0.7), parameter, walk)
    torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize(("start", "every"), [(1, 1), (4, 3), (12, 1)])
def test_swa_is_the_mean_of_its_samples(walk: list[torch.Tensor], start: int, every: int) -> None:
    parameter = Parameter(torch.ones(3))
    actual = follow(Averages([("w", parameter)], start=start, every=every), parameter, walk)
    torch.testing.assert_close(actual, torch.stack(walk[start - 1 :: every]).mean(0))


def test_swa_against_torch(walk: list[torch.Tensor]) -> None:
    model = Linear(3, 1, bias=False)
    theirs = AveragedModel(model)
    ours = Averages(list(model.named_parameters()))
    for step, value in enumerate(walk, start=1):
        with torch.no_grad():
            model.weight.copy_(value[None])
        theirs.update_parameters(model)
        ours.update(step)
    torch.testing.assert_close(ours.values[0], theirs.module.weight.detach())


def test_before_its_start_swa_is_the_weights(walk: list[torch.Tensor]) -> None:
    parameter = Parameter(torch.ones(3))
    assert torch.equal(follow(Averages([("w", parameter)], start=99), parameter, walk), walk[-1])


def test_in_place_and_back_even_after_an_error() -> None:
    parameter = Parameter(torch.ones(3))
    averages = Averages([("w", parameter)], 0.5)
    with torch.no_grad():
        parameter.fill_(5.0)
    with contextlib.suppress(RuntimeError), averages.in_place():
        assert parameter.tolist() == [1.0] * 3
        raise RuntimeError
    assert parameter.tolist() == [5.0] * 3
    assert averages.values[0].tolist() == [1.0] * 3


def test_state_saved_and_restored_goes_on_the_same(walk: list[torch.Tensor]) -> None:
    one, other = Parameter(torch.ones(3)), Parameter(torch.ones(3))
    straight = Averages([("w", one)], start=2, every=2)
    follow(straight, one, walk[:6])
    again = Averages([("w", other)], start=2, every=2)
    again.load({name: value.clone() for name, value in straight.tensors().items()})
    for step, value in enumerate(walk[6:], start=7):
        with torch.no_grad():
            one.copy_(value)
            other.copy_(value)
        straight.update(step)
        again.update(step)
    assert torch.equal(straight.values[0], again.values[0])
