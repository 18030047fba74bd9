"""Soft sharing's penalties: values and gradients against autograd and singular values."""

import pytest
import torch
from torch.nn import Parameter

from accord.model.soft import PENALTIES, Coupling, l2, trace_norm


def copies(tasks: int = 3, equal: bool = False, seed: int = 0) -> list[torch.Tensor]:
    drawn = torch.Generator().manual_seed(seed)
    first = torch.randn(4, 5, generator=drawn)
    return [first if equal else torch.randn(4, 5, generator=drawn) for _ in range(tasks)]


@pytest.mark.parametrize("tasks", [1, 2, 5])
def test_l2_is_the_sum_over_pairs(tasks: int) -> None:
    ours = [c.double().requires_grad_() for c in copies(tasks)]
    wanted = sum(
        ((ours[i] - ours[j]).square().sum() for i in range(tasks) for j in range(i)),
        start=torch.zeros((), dtype=torch.float64),
    )
    value, gradients = l2([c.detach() for c in ours])
    torch.testing.assert_close(value, wanted.detach())
    if tasks > 1:
        for gradient, expected in zip(gradients, torch.autograd.grad(wanted, ours), strict=True):
            torch.testing.assert_close(gradient, expected)
    else:
        assert not gradients[0].any()


@pytest.mark.parametrize("tasks", [1, 2, 5])
def test_trace_norm_is_the_sum_of_singular_values(tasks: int) -> None:
    ours = [c.double().requires_grad_() for c in copies(tasks)]
    columns = torch.stack([c.flatten() for c in ours], 1)
    wanted = torch.linalg.matrix_norm(columns, "nuc")
    value, gradients = trace_norm([c.detach() for c in ours])
    torch.testing.assert_close(value, wanted.detach())
    for gradient, expected in zip(gradients, torch.autograd.grad(wanted, ours), strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("apart", [1e-2, 1e-3, 1e-4])
def test_trace_norm_s_pull_on_copies_that_are_still_close(apart: float) -> None:
    drawn = torch.Generator().manual_seed(0)
    first = torch.randn(64, 64, generator=drawn)
    ours = [first * (1 + apart * torch.randn(64, 64, generator=drawn)) for _ in range(3)]
    u, _, vt = torch.linalg.svd(torch.stack(ours).flatten(1).double(), full_matrices=False)
    wanted = (u @ vt).view(3, 64, 64)
    double = torch.stack(trace_norm(ours)[1]).double()
    pull, exact = double - double.mean(0), wanted - wanted.mean(0)
    assert float((pull - exact).norm() / exact.norm()) < 1e-4


@pytest.mark.parametrize("scale", [0.0, 1e-20, 1.0, 1e15])
def test_trace_norm_is_finite_while_all_copies_are_equal(scale: float) -> None:
    ours = [scale * c for c in copies(4, equal=True)]
    value, gradients = trace_norm(ours)
    assert bool(value.isfinite())
    torch.testing.assert_close(value, 2 * ours[0].norm(), rtol=1e-5, atol=0)
    for gradient in gradients:  # that of ‖W‖ √T: all are pulled alike
        assert bool(gradient.isfinite().all())
        if scale == 1.0:
            torch.testing.assert_close(gradient, ours[0] / ours[0].norm() / 2, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", PENALTIES)
def test_a_coupling_pulls_those_that_took_a_step(kind: str) -> None:
    ours = [Parameter(c) for c in copies(3)]
    for parameter in ours[:2]:
        parameter.grad = torch.ones_like(parameter)
    value, gradients = PENALTIES[kind]([c.detach() for c in ours])
    penalty = Coupling(kind, 0.5, [ours]).pull()
    assert penalty == pytest.approx(0.5 * float(value))
    for parameter, gradient in zip(ours[:2], gradients, strict=False):
        torch.testing.assert_close(parameter.grad, 1 + 0.5 * gradient)
    assert ours[2].grad is None


def test_l2_brings_copies_together() -> None:
    ours = [Parameter(c) for c in copies(3)]
    before = float(l2([c.detach() for c in ours])[0])
    for _ in range(50):
        for parameter in ours:
            parameter.grad = torch.zeros_like(parameter)
        Coupling("l2", 0.1, [ours]).pull()
        with torch.no_grad():
            for parameter in ours:
                parameter.sub_(0.5 * parameter.grad)  # type: ignore[operator]
    assert float(l2([c.detach() for c in ours])[0]) < 1e-6 * before


@pytest.mark.parametrize("tasks", [2, 3, 7])
def test_l2_of_equal_copies_is_0_and_pulls_at_nothing(tasks: int) -> None:
    value, gradients = l2(copies(tasks, equal=True))
    assert float(value) == 0
    assert not any(bool(gradient.any()) for gradient in gradients)
