"""The registry and the state of what is chosen from it, with a method that counts."""

import math
from collections.abc import Iterator

import pytest
import torch
from gradient_cases import (
    float64,
)
from torch import Tensor

from accord.gradients import method_names
from accord.gradients._registry import METHODS, Method, method
from accord.methods import Chosen, Signals, State


def counting(
    signals: Signals, state: State, drawn: torch.Generator, *, more: float = 0.0
) -> tuple[Tensor, State]:
    """Count each task's and each pair's steps; weigh by the counts and a draw."""
    steps, pairs = state["steps"] + 1, state["pairs"] + signals.gramian
    return steps + more + torch.rand((), generator=drawn), {"steps": steps, "pairs": pairs}


@pytest.fixture
def fake() -> Iterator[Method]:
    method(
        "fake", paper="none", use="Never.", laws=("scale",), magnitude="sum",
        example=([[1.0]], [1.0]),
        initial_state=lambda tasks: {
            "steps": torch.zeros(tasks, dtype=torch.float64),
            "pairs": torch.zeros(tasks, tasks, dtype=torch.float64),
        },
    )(counting)  # fmt: skip
    yield METHODS.entries["fake"]
    del METHODS.entries["fake"]


def weigh(
    chosen: Chosen[Method], G: Tensor, present: tuple[int, ...], key: tuple[int, int]
) -> Tensor:
    weights, chosen.states = chosen.weigh([Signals.of(G)], present, key)
    return weights[0]


def test_a_method_registers_itself(fake: Method) -> None:
    assert fake.function is counting
    assert (fake.paper, fake.laws, fake.example) == ("none", {"scale"}, ([[1.0]], [1.0]))
    assert "fake" not in method_names()  # it has no file


def test_absent_tasks_keep_their_state(fake: Method) -> None:
    chosen = Chosen.of(fake, 4)
    start = chosen.states[0]
    G = float64([[1.0, 2.0], [2.0, 5.0]])
    weights = weigh(chosen, G, (1, 3), (0, 0))
    after = chosen.states[0]
    assert weights.shape == (2,)
    assert not start["steps"].any()
    assert after["steps"].tolist() == [0, 1, 0, 1]
    expected = torch.zeros(4, 4, dtype=torch.float64)
    expected[1, 1], expected[1, 3], expected[3, 1], expected[3, 3] = 1, 2, 2, 5
    assert torch.equal(after["pairs"], expected)
    weigh(chosen, G[:1, :1], (3,), (0, 1))
    weigh(chosen, torch.eye(4).double(), (0, 1, 2, 3), (0, 2))
    after = chosen.states[0]
    assert after["steps"].tolist() == [1, 2, 1, 3]
    assert after["pairs"][3, 3] == 5 + 1 + 1


def test_a_method_sees_the_state_of_the_present_tasks_alone(fake: Method) -> None:
    chosen = Chosen.of(fake, 4, {"more": 10.0})
    chosen.states = [{"steps": torch.arange(4.0).double(), "pairs": torch.zeros(4, 4).double()}]
    weights = weigh(chosen, torch.eye(2).double(), (1, 3), (0, 0))
    assert weights.floor().tolist() == [12.0, 14.0]


def test_each_group_has_its_own_state_and_draws(fake: Method) -> None:
    chosen = Chosen.of(fake, 2, groups=2)
    chosen.states[1]["steps"] += 5
    weights, states = chosen.weigh([Signals.of(torch.eye(2))] * 2, (0, 1), (0, 0))
    assert weights.floor().tolist() == [[1.0, 1.0], [6.0, 6.0]]
    assert weights[0, 0].frac() != weights[1, 0].frac()
    assert [state["steps"].tolist() for state in states] == [[1, 1], [6, 6]]


def test_state_of_another_method_is_refused(fake: Method) -> None:
    chosen = Chosen.of(fake, 2)
    with pytest.raises(ValueError, match="no state of 'fake'"):
        chosen.load({"0.steps": torch.zeros(2)})
    with pytest.raises(ValueError, match="no state of 'fake'"):
        chosen.load(Chosen.of(fake, 3).tensors())


def test_draws_are_keyed_by_seed_and_step(fake: Method) -> None:
    def draw(seed: int, number: int) -> float:
        return weigh(Chosen.of(fake, 1), torch.eye(1).double(), (0,), (seed, number)).item()

    draws = {(seed, number): draw(seed, number) for seed in range(5) for number in range(20)}
    torch.rand(1)
    assert len(set(draws.values())) == len(draws)
    assert draws == {key: draw(*key) for key in draws}
    assert math.isfinite(draw(2**62, 10**9))
