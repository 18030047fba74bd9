"""Each operation against plain autograd, and linear layers with an activation between them."""

import contextlib
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn import functional as F

from accord.encoders.blocks import ACTIVATIONS
from accord.kernels.matmul import MatmulPolicy, computing
from accord.pertask.bounds import TaskBounds
from accord.pertask.jacobian import Jacobian
from accord.pertask.operations import layer_norm, linear
from accord.pertask.step import Step

HIDDEN, INNER = 16, 40
TASKS = [(0, 60), (60, 60), (60, 63), (63, 150)]  # many rows, none, few
ROWS = TASKS[-1][1]
UNIT = 2**-8  # bfloat16 holds 8 bits: a number and its neighbour differ by this and less
FLOAT32 = MatmulPolicy()
BFLOAT16 = [MatmulPolicy(bfloat16=True), MatmulPolicy(bfloat16=True, rounded=True)]

Run = Callable[[Tensor, Sequence[Parameter]], Tensor]
STACKS = pytest.mark.parametrize("name", ["alone", *ACTIVATIONS])
JOINT = pytest.mark.parametrize("joint", [False, True], ids=["per-task", "joint"])


def drawn(shape: Sequence[int], seed: int = 9) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


INPUT = drawn((ROWS, HIDDEN))


class Found(NamedTuple):
    """What a pass gave: the output, the gradient of the input and J, all in float64."""

    out: Tensor
    input_grad: Tensor
    J: Tensor


def stack(name: str, layer: Callable[..., Tensor] = linear) -> Run:
    """One layer alone, or two with the activation of that name between them."""

    def run(x: Tensor, own: Sequence[Parameter]) -> Tensor:
        first = layer(x, own[0], own[1])
        return first if name == "alone" else layer(ACTIVATIONS[name](first), own[2], own[3])

    return run


plain = partial(stack, layer=lambda x, weight, bias: x @ weight.t() + bias)


def make_parameters(frozen: tuple[int, ...] = ()) -> list[Parameter]:
    shapes = (INNER, HIDDEN), (INNER,), (HIDDEN, INNER), (HIDDEN,)
    return [
        Parameter(drawn(shape, seed) * 0.3, requires_grad=seed not in frozen)
        for seed, shape in enumerate(shapes)
    ]


def probe_of(out: Tensor) -> Tensor:
    """A gradient of the output, rows of a size of their own."""
    return (drawn(out.shape) * drawn((len(out), 1), 8)).to(out.dtype)


def started(own: Sequence[Parameter], joint: bool = False, static: bool = False) -> Step:
    return Jacobian(own).begin(None if joint else len(TASKS), static=static)


def bounds_of(tasks: Sequence[tuple[int, int]]) -> TaskBounds:
    return TaskBounds.of_counts([stop - start for start, stop in tasks])


def measure(
    run: Run, own: Sequence[Parameter], joint: bool = False, matmul: MatmulPolicy = FLOAT32,
    x: Tensor = INPUT, static: bool = False,
) -> Found:  # fmt: skip
    """Run both passes, gradients collected in J."""
    x, step = x.clone().requires_grad_(), started(own, joint, static)
    with computing(matmul):
        with matmul.autocast(x.device), step.collecting(bounds_of(TASKS)):
            out = run(x, own)
        (input_grad,) = torch.autograd.grad(out, x, probe_of(out))
    return Found(out.detach().double(), input_grad.double(), step.dense().double())


def by_autograd(
    run: Run, own: Sequence[Parameter], joint: bool = False, x: Tensor = INPUT
) -> Found:
    """The same by torch's own operations in float64, and one backward pass a task."""
    x = x.double().requires_grad_()
    exact = [Parameter(parameter.detach().double()) for parameter in own]
    out, J = run(x, exact), []
    for start, stop in [(0, ROWS)] if joint else TASKS:
        total = (out * probe_of(out))[start:stop].sum()
        grads = torch.autograd.grad(total, exact, retain_graph=True, materialize_grads=True)
        J.append(torch.cat([g.flatten() for g in grads]))
    (input_grad,) = torch.autograd.grad(out, x, probe_of(out))
    return Found(out.detach(), input_grad, torch.stack(J))


def error(ours: Tensor, expected: Tensor) -> float:
    """The largest error of a row, by the row's own size; a row of zeros has to be zeros."""
    off, size = (ours - expected).norm(dim=1), expected.norm(dim=1)
    assert ours.shape == expected.shape
    assert not bool(off[size == 0].any())
    return float((off / size)[size > 0].max())


def assert_close(ours: Found, expected: Found, tolerance: float = 1e-5) -> None:
    for name, own, other in zip(Found._fields, ours, expected, strict=True):
        assert error(own, other) < tolerance, name


@JOINT
@STACKS
def test_rows_of_j_are_autograd_s_gradients(name: str, joint: bool) -> None:
    own = make_parameters()
    expected = by_autograd(plain(name), own, joint)
    assert [bool(row.any()) for row in expected.J] == [True, False, True, True][-len(expected.J) :]
    assert_close(measure(stack(name), own, joint), expected)


@pytest.mark.parametrize("matmul", BFLOAT16, ids=["native", "rounded"])
@JOINT
@STACKS
def test_bfloat16_is_float64_to_rounding(name: str, joint: bool, matmul: MatmulPolicy) -> None:
    """Over all rows: a single row's relu may change sides at 0."""
    own = make_parameters()
    found = measure(stack(name), own, joint, matmul)
    for ours, exact in zip(found, by_autograd(plain(name), own, joint), strict=True):
        assert 0 < float((ours - exact).norm() / exact.norm()) < 6 * UNIT


@pytest.mark.parametrize("frozen", [(0,), (3,), (0, 1), (2, 3), (0, 1, 2)])
def test_frozen_parameters_are_left_out_of_j_alone(frozen: tuple[int, ...]) -> None:
    own = make_parameters(frozen)
    expected = by_autograd(plain("gelu"), own)
    columns = expected.J.split([parameter.numel() for parameter in own], dim=1)
    kept = torch.cat([part for i, part in enumerate(columns) if i not in frozen], dim=1)
    assert_close(measure(stack("gelu"), own), expected._replace(J=kept))


@STACKS
def test_passes_add_up(name: str) -> None:
    own = make_parameters()
    step, probe = started(own), probe_of(plain(name)(INPUT, own))
    first, second = [*range(20), *range(63, 84)], [*range(20, 63), *range(84, ROWS)]
    bounds = [(0, 20), (20, 20), (20, 20), (20, 41)], [(0, 40), (40, 40), (40, 43), (43, 109)]
    for part, tasks in zip((first, second), bounds, strict=True):
        with step.collecting(bounds_of(tasks)):
            out = stack(name)(INPUT[part], own)
        out.backward(probe[part])
    assert error(step.dense().double(), by_autograd(plain(name), own).J) < 1e-5


@STACKS
def test_input_and_gradient_in_any_memory_order(name: str) -> None:
    """A column-major input, and the expanded gradient of a sum."""
    own, found = make_parameters(), []
    for x in (INPUT.t().contiguous().t(), INPUT.clone()):
        step = started(own)
        with step.collecting(bounds_of(TASKS)):
            out = stack(name)(x.requires_grad_(), own)
        found.append(Found(out.detach(), *torch.autograd.grad(out.sum(), x), step.dense()))
    assert_close(*found)


@pytest.mark.parametrize("evaluation", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("matmul", [FLOAT32, *BFLOAT16])
@STACKS
def test_evaluation_equals_training(
    name: str, matmul: MatmulPolicy, evaluation: type[contextlib.ContextDecorator]
) -> None:
    own = make_parameters()
    with evaluation(), computing(matmul), matmul.autocast(INPUT.device):  # type: ignore[attr-defined]
        out = stack(name)(INPUT, own)
        assert len(stack(name)(INPUT[:0], own)) == 0
    assert out.dtype == (torch.bfloat16 if matmul.bfloat16 else torch.float32)
    assert torch.equal(out.double(), measure(stack(name), own, matmul=matmul).out)


@pytest.mark.parametrize("bfloat16", [False, True])
@JOINT
def test_layer_norm_equals_autograd_a_task(joint: bool, bfloat16: bool) -> None:
    """In float32 under autocast too, whatever the input's own precision."""
    own = [Parameter(drawn((HIDDEN,), seed)) for seed in range(2)]
    x = INPUT.to(torch.bfloat16 if bfloat16 else torch.float32)
    expected = by_autograd(lambda x, own: F.layer_norm(x, (HIDDEN,), *own, 1e-12), own, joint, x)
    ours = measure(lambda x, own: layer_norm(x, *own, 1e-12), own, joint, MatmulPolicy(bfloat16), x)
    assert error(ours.out, expected.out) < 1e-5
    assert error(ours.J, expected.J) < 1e-5
    assert error(ours.input_grad, expected.input_grad) < (UNIT if bfloat16 else 1e-5)


def test_a_backward_pass_multiplies_as_its_forward_pass_did_in_any_thread() -> None:
    """Though it begins outside of the block, in a thread that never saw it."""
    found, matmul = [], MatmulPolicy(bfloat16=True, rounded=True)
    for apart in (False, True):
        own, x = make_parameters(), INPUT.clone().requires_grad_()
        step = started(own)
        with computing(matmul), matmul.autocast(x.device), step.collecting(bounds_of(TASKS)):
            out = stack("gelu")(x, own)
            backward = partial(out.backward, probe_of(out))
            if not apart:
                backward()
        if apart:
            thread = threading.Thread(target=backward)
            thread.start()
            thread.join()
        found.append((step.dense(), x.grad))
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))
