"""Each operation against plain autograd, and the feed-forward block against two linear layers."""

import contextlib
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn import functional as F

from accord.bert import ACTIVATIONS
from accord.functional import FeedForward, feed_forward, feed_forward_reference, layer_norm, linear
from accord.jacobian import Jacobian, TaskRows
from accord.products import Products, computing

HIDDEN, INNER = 16, 40
TASKS = [(0, 1500), (1500, 1500), (1500, 1503), (1503, 3603)]  # many rows, none, few
ROWS = TASKS[-1][1]
BFLOAT16 = Products(bfloat16=True)
ROUNDED = Products(bfloat16=True, rounded=True)
UNIT = 2**-8  # bfloat16 holds 8 bits: a number and its neighbour differ by this and less
CPU = torch.device("cpu")

Path = Callable[[Tensor, FeedForward, TaskRows | None], Tensor]


class Found(NamedTuple):
    """What a pass gave: the output, the gradient of the input and J, all in float64."""

    out: Tensor
    input_grad: Tensor
    J: Tensor


def make_block(activation: str = "gelu", frozen: tuple[int, ...] = ()) -> FeedForward:
    generator = torch.Generator().manual_seed(1)
    shapes = (INNER, HIDDEN), (INNER,), (HIDDEN, INNER), (HIDDEN,)
    parameters = [
        Parameter(torch.randn(shape, generator=generator) * 0.3, requires_grad=i not in frozen)
        for i, shape in enumerate(shapes)
    ]
    return FeedForward(*parameters, ACTIVATIONS[activation])


def make_input(rows: int = ROWS) -> tuple[Tensor, Tensor]:
    """An input and a gradient of the output, rows of a size of their own."""
    generator = torch.Generator().manual_seed(2)
    x, probe = (torch.randn(rows, HIDDEN, generator=generator) for _ in range(2))
    return x, probe * torch.rand(rows, 1, generator=generator)


def started(block: FeedForward, rows: int) -> Jacobian:
    jacobian = Jacobian(block[:4])
    jacobian.begin(rows, torch.zeros(1, dtype=torch.int64))
    return jacobian


def measure(
    path: Path,
    block: FeedForward,
    tasks: list[tuple[int, int]] = TASKS,
    joint: bool = False,
    products: Products | None = None,
) -> Found:
    """Run both passes of a path, its gradients collected in J."""
    products, jacobian = products or Products(), started(block, 1 if joint else len(tasks))
    x, probe = make_input(tasks[-1][1])
    x.requires_grad_()
    with computing(products):
        with products.autocast(CPU):
            out = path(x, block, jacobian.tasks(tasks))
        (input_grad,) = torch.autograd.grad(out, x, probe.to(out.dtype))
    return Found(out.detach().double(), input_grad.double(), jacobian.dense().double())


def by_autograd(block: FeedForward, tasks: list[tuple[int, int]] = TASKS) -> Found:
    """The same by torch's own operations in float64, and one backward pass a task."""
    x, probe = (part.double() for part in make_input(tasks[-1][1]))
    own = [parameter.detach().double().requires_grad_() for parameter in block[:4]]
    out = plain(x.requires_grad_(), own, block.activation)
    J = []
    for start, stop in tasks:
        total = (out[start:stop] * probe[start:stop]).sum()
        J.append(torch.cat([g.flatten() for g in torch.autograd.grad(total, own, None, True)]))
    (input_grad,) = torch.autograd.grad(out, x, probe)
    return Found(out.detach(), input_grad, torch.stack(J))


def plain(x: Tensor, own: list[Tensor], activation: Callable[[Tensor], Tensor]) -> Tensor:
    return activation(x @ own[0].t() + own[1]) @ own[2].t() + own[3]


def error(ours: Tensor, expected: Tensor) -> float:
    """The largest error of a row, by the row's own size; a row of zeros has to be zeros."""
    off, size = (ours - expected).norm(dim=1), expected.norm(dim=1)
    assert ours.shape == expected.shape
    assert not bool(off[size == 0].any())
    return float((off / size)[size > 0].max())


def assert_close(ours: Found, expected: Found, tolerance: float = 1e-5) -> None:
    for name, own, other in zip(Found._fields, ours, expected, strict=True):
        assert error(own, other) < tolerance, name


@pytest.mark.parametrize("joint", [False, True], ids=["per-task", "joint"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_block_equals_two_layers(activation: str, joint: bool) -> None:
    block = make_block(activation)
    expected = measure(feed_forward_reference, block, joint=joint)
    assert len(expected.J) == (1 if joint else len(TASKS))
    assert_close(measure(feed_forward, block, joint=joint), expected)


@pytest.mark.parametrize("path", [feed_forward, feed_forward_reference])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_row_of_j_is_autograd_s_gradient_of_that_task(activation: str, path: Path) -> None:
    block = make_block(activation)
    expected = by_autograd(block)
    assert [bool(row.any()) for row in expected.J] == [True, False, True, True]
    assert_close(measure(path, block), expected)


@pytest.mark.parametrize("path", [feed_forward, feed_forward_reference])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_joint_row_is_autograd_s_gradient_of_all(activation: str, path: Path) -> None:
    block = make_block(activation)
    expected = by_autograd(block)
    total = expected._replace(J=expected.J.sum(0, keepdim=True))
    assert_close(measure(path, block, joint=True), total)


@pytest.mark.parametrize("rows", [1, 1023, 1024, 1025, 2048, 2049])
def test_any_number_of_rows(rows: int) -> None:
    block, tasks = make_block(), [(0, rows)]
    assert_close(measure(feed_forward, block, tasks), by_autograd(block, tasks))


@pytest.mark.parametrize("products", [BFLOAT16, ROUNDED], ids=["native", "rounded"])
@pytest.mark.parametrize("joint", [False, True], ids=["per-task", "joint"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_block_in_bfloat16_equals_two_layers_to_rounding(
    activation: str, joint: bool, products: Products
) -> None:
    block = make_block(activation)
    ours, expected = (
        measure(path, block, joint=joint, products=products)
        for path in (feed_forward, feed_forward_reference)
    )
    assert_close(ours, expected, UNIT)


@pytest.mark.parametrize("products", [BFLOAT16, ROUNDED], ids=["native", "rounded"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_block_in_bfloat16_is_as_near_to_float64_as_two_layers(
    activation: str, products: Products
) -> None:
    """Over all rows: a single row's relu may change sides at 0."""
    block = make_block(activation)
    exact = by_autograd(block)
    ours, theirs = (
        measure(path, block, products=products) for path in (feed_forward, feed_forward_reference)
    )
    for own, other, wanted in zip(ours, theirs, exact, strict=True):
        off, bound = ((part - wanted).norm() / wanted.norm() for part in (own, other))
        assert 0 < off < 1.1 * bound < 12 * UNIT


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_rounded_operands_give_what_bfloat16_products_give(activation: str) -> None:
    block = make_block(activation)
    ours, native = (
        measure(feed_forward, block, products=products) for products in (ROUNDED, BFLOAT16)
    )
    assert_close(ours, native, UNIT)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_without_rows_it_is_torch_s_own(activation: str) -> None:
    block, (x, probe) = make_block(activation), make_input()
    tensors = [x.requires_grad_(), *block[:4]]
    ours, expected = feed_forward(x, block, None), plain(x, tensors[1:], block.activation)
    assert error(ours.detach(), expected.detach()) < 1e-5
    wanted = torch.autograd.grad(expected, tensors, probe)
    for own, other in zip(torch.autograd.grad(ours, tensors, probe), wanted, strict=True):
        assert error(own.view(len(own), -1), other.view(len(own), -1)) < 1e-5


@pytest.mark.parametrize("collecting", [False, True], ids=["no-rows", "rows"])
@pytest.mark.parametrize("evaluation", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_evaluation_equals_the_reference(
    activation: str, evaluation: type[contextlib.ContextDecorator], collecting: bool
) -> None:
    block, (x, _) = make_block(activation), make_input()
    jacobian = started(block, len(TASKS))
    rows = jacobian.tasks(TASKS) if collecting else None
    with evaluation():  # type: ignore[attr-defined]
        ours, expected = (path(x, block, rows) for path in (feed_forward, feed_forward_reference))
    assert not ours.requires_grad
    assert error(ours, expected) < 1e-5
    assert error(ours.double(), by_autograd(block).out) < 1e-5


@pytest.mark.parametrize("products", [BFLOAT16, ROUNDED], ids=["native", "rounded"])
def test_evaluation_in_bfloat16_equals_the_pass_of_training(products: Products) -> None:
    block, (x, _) = make_block(), make_input()
    with torch.inference_mode(), computing(products), products.autocast(CPU):
        out = feed_forward(x, block, None)
    assert out.dtype == torch.bfloat16
    assert torch.equal(out.double(), measure(feed_forward, block, products=products).out)


def test_no_rows_at_all_are_evaluated() -> None:
    with torch.no_grad():
        assert feed_forward(torch.zeros(0, HIDDEN), make_block(), None).shape == (0, HIDDEN)


def test_passes_add_up() -> None:
    block, (x, probe) = make_block(), make_input()
    jacobian = started(block, 2)
    for first, second in ((1100, 30), (400, 2073)):  # rows of either task in a pass
        own = x[: first + second].requires_grad_()
        rows = jacobian.tasks([(0, first), (first, first + second)])
        feed_forward(own, block, rows).backward(probe[: first + second])
    expected = torch.zeros_like(jacobian.dense()).double()
    for first, second in ((1100, 30), (400, 2073)):
        for row, bounds in enumerate([(0, first), (first, first + second)]):
            expected[row] += gradient_of(block, *bounds)
    assert error(jacobian.dense().double(), expected) < 1e-5


def gradient_of(block: FeedForward, start: int, stop: int) -> Tensor:
    """Autograd's gradient of some rows of `make_input`."""
    x, probe = (part[start:stop].double() for part in make_input())
    own = [parameter.detach().double().requires_grad_() for parameter in block[:4]]
    out = plain(x, own, block.activation)
    return torch.cat([g.flatten() for g in torch.autograd.grad(out, own, probe)])


@pytest.mark.parametrize("frozen", [(0,), (3,), (0, 1), (2, 3), (0, 1, 2)])
def test_frozen_parameters_are_left_out_of_j_alone(frozen: tuple[int, ...]) -> None:
    block = make_block(frozen=frozen)
    expected = by_autograd(block)
    columns = expected.J.split([parameter.numel() for parameter in block[:4]], dim=1)
    kept = torch.cat([part for i, part in enumerate(columns) if i not in frozen], dim=1)
    assert_close(measure(feed_forward, block), expected._replace(J=kept))


def test_an_input_that_needs_no_gradient_gives_the_same_j() -> None:
    block, (x, probe) = make_block(), make_input()
    jacobian = started(block, len(TASKS))
    feed_forward(x, block, jacobian.tasks(TASKS)).backward(probe)
    assert torch.equal(jacobian.dense().double(), measure(feed_forward, block).J)


def test_input_and_gradient_in_any_memory_order() -> None:
    """A column-major input, and the expanded gradient of a sum."""
    block, (x, _) = make_block(), make_input()
    found = []
    for own in (x.t().contiguous().t(), x.clone()):
        jacobian = started(block, len(TASKS))
        own.requires_grad_()
        out = feed_forward(own, block, jacobian.tasks(TASKS))
        (input_grad,) = torch.autograd.grad(out.sum(), own)
        found.append(Found(out.detach(), input_grad, jacobian.dense()))
    assert_close(found[0], found[1])


@pytest.mark.parametrize("products", [Products(), BFLOAT16, ROUNDED])
@pytest.mark.parametrize("evaluation", [torch.no_grad, torch.inference_mode])
def test_linear_is_evaluated_as_it_is_trained(
    evaluation: type[contextlib.ContextDecorator], products: Products
) -> None:
    block, (x, _) = make_block(), make_input()
    jacobian = started(block, len(TASKS))
    with computing(products), products.autocast(CPU):
        trained = linear(x, block.weight1, block.bias1, jacobian.tasks(TASKS))
        with evaluation():  # type: ignore[attr-defined]
            evaluated = linear(x, block.weight1, block.bias1, None)
    assert trained.requires_grad
    assert trained.dtype == evaluated.dtype
    assert torch.equal(trained.detach(), evaluated)
    expected = F.linear(x, block.weight1, block.bias1).detach()
    assert error(evaluated.float(), expected) < (4 * UNIT if products.bfloat16 else 1e-5)


@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize("joint", [False, True], ids=["per-task", "joint"])
def test_layer_norm_equals_autograd_a_task(joint: bool, bfloat16: bool) -> None:
    """In float32 under autocast too, whatever the input's own precision."""
    weight, bias = (Parameter(torch.randn(HIDDEN)) for _ in range(2))
    x, probe = make_input()
    x = x.to(torch.bfloat16 if bfloat16 else torch.float32).requires_grad_()
    jacobian = Jacobian([weight, bias])
    jacobian.begin(1 if joint else len(TASKS), torch.zeros(1, dtype=torch.int64))
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        out = layer_norm(x, weight, bias, 1e-12, jacobian.tasks(TASKS))
    (input_grad,) = torch.autograd.grad(out, x, probe)

    exact = [part.detach().double().requires_grad_() for part in (x, weight, bias)]
    expected = F.layer_norm(exact[0], (HIDDEN,), *exact[1:], 1e-12)
    J = []
    for start, stop in [(0, ROWS)] if joint else TASKS:
        total = (expected[start:stop] * probe[start:stop]).sum()
        J.append(torch.cat(torch.autograd.grad(total, exact[1:], None, True)))
    wanted, *_ = torch.autograd.grad(expected, exact, probe.double())
    assert out.dtype == torch.float32
    assert error(out.detach().double(), expected.detach()) < 1e-5
    assert error(jacobian.dense().double(), torch.stack(J)) < 1e-5
    assert error(input_grad.double(), wanted) < (UNIT if bfloat16 else 1e-5)
