"""A layer, its bias and activation in one: each task's gradients, and where kernels are used.

The formula plays the kernels.
"""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import Parameter

from accord.encoders.blocks import _NAMES, ACTIVATIONS
from accord.kernels import fused
from accord.kernels.fused import activations
from accord.pertask import Jacobian, TaskBounds
from accord.pertask.activated import linear_activated
from accord.pertask.bounds import DeviceBounds

K, M = 5, 6


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lets the formula play the kernels; holds what was asked for, and whether sums were."""
    seen: list[str] = []

    class Spy:
        @staticmethod
        def forward(x: Tensor, bias: Tensor, kind: str) -> Tensor:
            seen.append(kind)
            return activations.forward(x, bias, kind)

        @staticmethod
        def backward(*given: Any, sums: bool) -> tuple[Tensor, Tensor | None]:
            seen.append("sums" if sums else "no sums")
            return activations.backward(*given, sums=sums)

    monkeypatch.setattr(fused, "activations_for", lambda x, bias, kind: Spy)
    return seen


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_formula_is_autograd_s(name: str) -> None:
    """And sums are those of 32 rows, the last of fewer."""
    x, bias, grad = 2 * drawn(70, M, seed=0), drawn(M, seed=1), drawn(70, M, seed=2)
    h = (x + bias).requires_grad_()
    y = ACTIVATIONS[name](h)
    (expected,) = torch.autograd.grad((y * grad).sum(), h)
    torch.testing.assert_close(activations.forward(x, bias, _NAMES[name]), y.detach())
    x_grad, sums = activations.backward(grad, x, bias, _NAMES[name])
    torch.testing.assert_close(x_grad, expected, rtol=1e-5, atol=3e-6)
    blocks = torch.stack([part.sum(0) for part in expected.split(32)])
    torch.testing.assert_close(sums, blocks, rtol=1e-5, atol=1e-5)
    half, _ = activations.backward(grad.bfloat16(), x.bfloat16(), bias, _NAMES[name])
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), expected, rtol=0.05, atol=0.05)
    assert activations.backward(grad, x, bias, _NAMES[name], sums=False)[1] is None


def test_gelu_by_hand() -> None:
    """At 0 its slope is 1/2; at 1 it is Φ(1) = 0.8413447, its slope Φ(1) + φ(1) = 1.0833155."""
    x, bias = torch.tensor([[-1.0, 0.0]]), torch.ones(2)
    torch.testing.assert_close(
        activations.forward(x, bias, "gelu"), torch.tensor([[0.0, 0.8413447]])
    )
    x_grad, sums = activations.backward(torch.tensor([[1.0, 2.0]]), x, bias, "gelu")
    torch.testing.assert_close(x_grad, torch.tensor([[0.5, 2.166631]]))
    torch.testing.assert_close(sums, torch.tensor([[0.5, 2.166631]]))


def test_nan_stays_where_it_is() -> None:
    x = torch.tensor([[1.0, torch.nan]])
    for kind in activations.KINDS:
        assert activations.forward(x, torch.zeros(2), kind).isnan().tolist() == [[False, True]]


DEVICE = DeviceBounds.of_ends
BOUNDS = {
    "multiples of 32": (TaskBounds.of_counts([64, 0, 37]), "sums"),
    "others": (TaskBounds.of_counts([60, 4, 37]), "no sums"),
    "by index": (TaskBounds.of_index([i % 3 for i in range(101)]), "no sums"),
    "known multiples": (DEVICE((0, 1, 2), torch.tensor([64, 64, 101]).int(), 101, 32), "sums"),
    "unknown": (DEVICE((0, 1, 2), torch.tensor([64, 64, 101]).int(), 101), "no sums"),
    "one task's": (DeviceBounds.of_one(2, 101, torch.device("cpu")), "sums"),
}


def collected(bounds: TaskBounds, static: bool, name: str) -> list[Tensor]:
    """J, the gradient of x, and what is computed."""
    x = drawn(101, K, seed=1).requires_grad_()
    weight, bias = Parameter(drawn(M, K, seed=2)), Parameter(drawn(M, seed=3))
    step = Jacobian([weight, bias]).begin(3, static=static)
    with step.collecting(bounds):
        y = linear_activated(x, weight, bias, ACTIVATIONS[name], _NAMES[name])
    (y * drawn(101, M, seed=4)).sum().backward()
    return [step.dense(), x.grad, y.detach()]  # type: ignore[list-item]


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("case", BOUNDS)
def test_a_task_s_gradients_are_those_by_offsets(asked: list[str], case: str, name: str) -> None:
    """Of the weight too, which are taken from the gradient that the kernel gives."""
    bounds, sums = BOUNDS[case]
    expected = collected(bounds, False, name)
    assert asked == []
    for one, other in zip(collected(bounds, True, name), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    assert asked == [_NAMES[name], sums]


def test_blocks_of_rows_are_a_task_s_alone() -> None:
    bounds = TaskBounds.of_counts([64, 32, 5], [2, 0, 1])
    blocks = bounds.by_blocks(32)
    assert blocks is not None
    assert (blocks.rows, blocks.ends) == ((2, 0, 1), (2, 3, 4))
    assert TaskBounds.of_counts([64, 30, 5]).by_blocks(32) is None
    device = DEVICE((2, 0), torch.tensor([64, 101]).int(), 101, 32).by_blocks(32)
    assert device is not None
    assert (device.ends_on(torch.device("cpu")).tolist(), len(device)) == ([2, 4], 4)


def test_kernels_are_for_static_steps_and_for_answers(asked: list[str]) -> None:
    x, weight, bias = (
        drawn(4, K, seed=1),
        Parameter(drawn(M, K, seed=2)),
        Parameter(drawn(M, seed=3)),
    )
    gelu = ACTIVATIONS["gelu"]
    expected = linear_activated(x, weight, bias, gelu, "gelu").detach()
    assert asked == []  # autograd has the gradients
    with torch.no_grad():
        torch.testing.assert_close(linear_activated(x, weight, bias, gelu, "gelu"), expected)
        assert asked == ["gelu"]
        linear_activated(x, weight, None, gelu, "gelu")
        linear_activated(x, weight, bias, torch.sin, None)
    assert asked == ["gelu"]
    step = Jacobian([weight]).begin(1, static=True)  # the bias is another's
    with step.collecting(TaskBounds.of_counts([4])):
        linear_activated(x, weight, bias, gelu, "gelu").sum().backward()
    assert asked == ["gelu"]
    assert bias.grad is not None
    bias.requires_grad_(False)
    step = Jacobian([weight]).begin(1, static=True)
    with step.collecting(TaskBounds.of_counts([4])):
        linear_activated(x, weight, bias, gelu, "gelu").sum().backward()
    assert asked == ["gelu", "gelu", "no sums"]
