"""Learning rate factors: transformers' own schedules, and their ends."""

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from accord.errors import UsageError
from accord.optim.schedules import SCHEDULES, lr_factor

ORACLES = {
    "constant": lambda optimizer, warmup, _total: transformers.get_constant_schedule_with_warmup(
        optimizer, warmup
    ),
    "linear": transformers.get_linear_schedule_with_warmup,
    "cosine": transformers.get_cosine_schedule_with_warmup,
}


def test_every_schedule_has_an_oracle() -> None:
    assert ORACLES.keys() == SCHEDULES.keys()


@pytest.mark.parametrize(("total", "warmup"), [(20, 5), (20, 0), (7, 7), (1, 0), (1, 1), (30, 29)])
@pytest.mark.parametrize("name", SCHEDULES)
def test_equals_transformers(name: str, total: int, warmup: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    oracle = ORACLES[name](optimizer, warmup, total).lr_lambdas[0]
    for step in range(total):
        assert lr_factor(name, step, total, warmup) == pytest.approx(oracle(step), abs=1e-15)


@given(st.sampled_from(sorted(SCHEDULES)), st.integers(0, 300), st.integers(0, 90), st.data())
def test_stays_between_0_and_1(name: str, step: int, total: int, data: st.DataObject) -> None:
    warmup = data.draw(st.integers(0, total))
    assert 0.0 <= lr_factor(name, step, total, warmup) <= 1.0


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_ends_at_0_and_stays_there(name: str) -> None:
    assert [lr_factor(name, step, 10, 2) for step in (10, 11, 50)] == [0.0, 0.0, 0.0]


def test_peak_stands_at_the_end_of_the_warm_up() -> None:
    for name in SCHEDULES:
        assert lr_factor(name, 3, 4, 4) == 0.75
        assert lr_factor(name, 4, 9, 4) == 1.0


def test_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown schedule 'linea'; did you mean 'linear'"):
        lr_factor("linea", 0, 10, 1)
