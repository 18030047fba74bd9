"""PCGrad on the Gram matrix against TorchJD's, and against Algorithm 1 on full vectors."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from looped import looped
from torch import Tensor
from torchjd.aggregation import PCGrad

from accord.gradients.methods.pcgrad import pcgrad, visiting_orders
from accord.methods import Signals

NAMES = ["random", "zero row", "scales", "rank one", "opposing", "orthogonal", "tiny", "huge"]


def gradients(name: str, tasks: int, columns: int = 30, seed: int = 0) -> Tensor:
    """J [T, P], float64, with conflicts."""
    generator = torch.Generator().manual_seed(seed)
    J = torch.randn(tasks, columns, generator=generator, dtype=torch.float64)
    if name == "zero row":
        J[0] = 0
    elif name == "scales":
        J *= torch.logspace(-10, 15, tasks, dtype=torch.float64)[:, None]
    elif name == "rank one":
        J = torch.randn(tasks, 1, generator=generator, dtype=torch.float64) * J[:1]
    elif name == "opposing":
        J = J[:1] * torch.tensor([(-1.0) ** i for i in range(tasks)], dtype=torch.float64)[:, None]
    elif name == "orthogonal":
        J = torch.linalg.qr(J.t())[0].t().contiguous()
    elif name in ("tiny", "huge"):
        J *= 1e-10 if name == "tiny" else 1e15
    return J


def algorithm_1(J: Tensor, orders: list[list[int]]) -> Tensor:
    """Yu et al. 2020, Algorithm 1, on the vectors themselves."""
    total = torch.zeros_like(J[0])
    for i, order in enumerate(orders):
        g = J[i].clone()
        for j in order:
            product = g @ J[j]
            if product < 0:
                g -= product / (J[j] @ J[j]) * J[j]
        total += g
    return total


def ours(J: Tensor, seed: int) -> Tensor:
    return pcgrad(Signals.of(J @ J.t()), {}, torch.Generator().manual_seed(seed))[0] @ J


def assert_same_direction(actual: Tensor, expected: Tensor, J: Tensor) -> None:
    """Equal to rounding, which the largest gradient sets."""
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-12 * J.abs().max().item())


@looped("name", NAMES)
@looped("tasks", [1, 2, 3, 5])
def test_equals_algorithm_1_on_full_vectors(name: str, tasks: int) -> None:
    for seed in range(8):
        J = gradients(name, tasks, seed=seed)
        orders = visiting_orders(tasks, torch.Generator().manual_seed(seed)).tolist()
        assert_same_direction(ours(J, seed), algorithm_1(J, orders), J)


@looped("name", NAMES)
@looped("tasks", [2, 3, 5])
def test_equals_torchjd(name: str, tasks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(8):
        J = gradients(name, tasks, seed=seed)
        orders = visiting_orders(tasks, torch.Generator().manual_seed(seed)).tolist()
        # TorchJD draws an order of all tasks for each task, and passes over the task itself.
        drawn = iter([[i, *order] for i, order in enumerate(orders)])
        with monkeypatch.context() as patch:
            patch.setattr(torch, "randperm", lambda n, d=drawn: torch.tensor(next(d)))
            direction = PCGrad()(J)
        assert_same_direction(ours(J, seed), direction, J)
        assert next(drawn, None) is None


@given(seed=st.integers(0, 10_000), tasks=st.integers(2, 6), columns=st.integers(1, 6))
def test_equals_algorithm_1_on_random_matrices(seed: int, tasks: int, columns: int) -> None:
    J = gradients("random", tasks, columns, seed)
    orders = visiting_orders(tasks, torch.Generator().manual_seed(seed)).tolist()
    assert_same_direction(ours(J, seed), algorithm_1(J, orders), J)


def test_the_order_matters() -> None:
    """Otherwise no test above could tell one visiting order from another."""
    J = gradients("random", 5, columns=3)
    directions = {tuple(ours(J, seed).round(decimals=6).tolist()) for seed in range(20)}
    assert len(directions) > 3


def test_orders_visit_every_other_task_once_and_in_every_order() -> None:
    generator = torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(60):
        orders = visiting_orders(4, generator).tolist()
        assert [sorted(order) for order in orders] == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]
        seen.add(tuple(orders[0]))
    assert len(seen) == 6
