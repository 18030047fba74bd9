"""By host offsets, by the bounds' tensors alone, and by one backward pass a task: one J."""

from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import Parameter
from torch.nn import functional as F

from accord.kernels.matmul import MatmulPolicy, computing
from accord.pertask import Jacobian, TaskBounds
from accord.pertask.operations import embedding, layer_norm, linear, rms_norm, scale

K, M, V = 6, 5, 9
Operation = Callable[[Tensor, list[Parameter]], Tensor]


def drawn(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def ids_of(x: Tensor) -> Tensor:
    return (x[..., 0].abs() * 100).long() % V


# By name: shapes of parameters, ours, torch's.
OPERATIONS: dict[str, tuple[list[tuple[int, ...]], Operation, Operation]] = {
    "linear": ([(M, K), (M,)], lambda x, p: linear(x, *p), lambda x, p: F.linear(x, *p)),
    "linear without bias": ([(M, K)], lambda x, p: linear(x, *p), lambda x, p: F.linear(x, *p)),
    "layer norm": (
        [(K,), (K,)], lambda x, p: layer_norm(x, *p), lambda x, p: F.layer_norm(x, (K,), *p)
    ),
    "layer norm without bias": (
        [(K,)], lambda x, p: layer_norm(x, *p), lambda x, p: F.layer_norm(x, (K,), *p)
    ),
    "rms norm": (
        [(K,)], lambda x, p: rms_norm(x, *p, 1e-6), lambda x, p: F.rms_norm(x, (K,), p[0], 1e-6)
    ),
    "scale": ([(K,), (K,)], lambda x, p: scale(x, *p), lambda x, p: x * p[0] + p[1]),
    "embedding": (
        [(V, K)], lambda x, p: embedding(ids_of(x), *p), lambda x, p: F.embedding(ids_of(x), *p)
    ),
    "embedding with padding": (
        [(V, K)], lambda x, p: embedding(ids_of(x), *p, 3),
        lambda x, p: F.embedding(ids_of(x), *p, 3),
    ),
    "tied table": (
        [(V, K)], lambda x, p: linear(x + embedding(ids_of(x), *p), *p),
        lambda x, p: F.linear(x + F.embedding(ids_of(x), *p), *p),
    ),
}  # fmt: skip


def parameters_of(name: str) -> list[Parameter]:
    return [Parameter(drawn(*shape, seed=9 + i)) for i, shape in enumerate(OPERATIONS[name][0])]


def weighed(out: Tensor) -> Tensor:
    """A loss of each row, none like another's."""
    return (out * drawn(*out.shape, seed=4)).flatten(1).sum(1)


def collected(
    name: str, x: Tensor, bounds: TaskBounds, rows: int | None, static: bool, compact: bool,
    passes: int = 1,
) -> tuple[Tensor, Tensor | None, Tensor]:  # fmt: skip
    own, x = parameters_of(name), x.clone().requires_grad_()
    table = own[0] if compact else None
    step = Jacobian(own, table).begin(rows, torch.arange(V), static=static)
    for _ in range(passes):
        with step.collecting(bounds):
            out = OPERATIONS[name][1](x, own)
        weighed(out).sum().backward()
    return step.dense(), x.grad, out.detach()


def separate(
    name: str, x: Tensor, index: Sequence[int], rows: int
) -> tuple[Tensor, Tensor | None, Tensor]:
    own, x = parameters_of(name), x.clone().requires_grad_()
    out = OPERATIONS[name][2](x, own)
    losses, J = weighed(out), []
    for row in range(rows):
        total = losses[torch.tensor(index) == row].sum() + 0 * losses.sum()
        grads = torch.autograd.grad(total, own, retain_graph=True)
        J.append(torch.cat([grad.flatten() for grad in grads]))
    losses.sum().backward()
    return torch.stack(J), x.grad, out.detach()


def close(ours: tuple[Tensor | None, ...], expected: tuple[Tensor | None, ...]) -> None:
    for one, other in zip(ours, expected, strict=True):
        if other is not None:
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@settings(max_examples=10)
@given(
    counts=st.lists(st.integers(0, 5), min_size=1, max_size=4).filter(any),
    inner=st.sampled_from([(), (1,), (3,), (2, 2)]),
    seed=st.integers(0, 99),
)
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_form_is_a_backward_pass_a_task(
    name: str, counts: list[int], inner: tuple[int, ...], seed: int
) -> None:
    """Rows in order or by an index, one dimension between or several, a table whole or compact."""
    x, rows = drawn(sum(counts), *inner, K, seed=seed), len(counts)
    inside = [row for row, count in enumerate(counts) for _ in range(count)]
    mixed = [inside[i] for i in torch.randperm(len(inside)).tolist()]
    for index, bounds in (
        (inside, TaskBounds.of_counts(counts)), (mixed, TaskBounds.of_index(mixed)),
    ):  # fmt: skip
        expected = separate(name, x, index, rows)
        for compact in {False, "embedding" in name or "table" in name}:
            for static in (False, True):
                close(collected(name, x, bounds, rows, static, compact), expected)
    joint = separate(name, x, [0] * len(x), 1)
    for static in (False, True):
        found = collected(name, x, TaskBounds.of_counts(counts), None, static, False, passes=2)
        close((found[0] / 2, found[2]), (joint[0], joint[2]))


@pytest.mark.parametrize("name", OPERATIONS)
def test_rows_of_j_are_those_that_are_named(name: str) -> None:
    """In any order, and two groups may share one."""
    x, counts, rows = drawn(9, K), [2, 3, 1, 3], [2, 0, 0, 1]
    index = [row for row, count in zip(rows, counts, strict=True) for _ in range(count)]
    expected = separate(name, x, index, 3)
    for static in (False, True):
        bounds = TaskBounds.of_counts(counts, rows)
        close(collected(name, x, bounds, 3, static, False), expected)


@pytest.mark.parametrize("matmul", [MatmulPolicy(bfloat16=True), MatmulPolicy(True, rounded=True)])
def test_both_forms_agree_in_bfloat16(matmul: MatmulPolicy) -> None:
    found = []
    for static in (False, True):
        own, x = parameters_of("linear"), drawn(40, K).requires_grad_()
        step = Jacobian(own).begin(2, static=static)
        collecting = step.collecting(TaskBounds.of_counts([15, 25]))
        with computing(matmul), matmul.autocast(x.device), collecting:
            out = linear(x, *own)
        weighed(out).float().sum().backward()
        found.append(step.dense())
    torch.testing.assert_close(*found, rtol=0.02, atol=0.05)
    assert not torch.equal(found[0][0], found[0][1])


def test_bounds_on_a_device_are_made_once() -> None:
    bounds, device = TaskBounds.of_counts([2, 0, 3]), torch.device("cpu")
    assert bounds.ends_on(device).tolist() == [2, 2, 5]
    assert bounds.ends_on(device).dtype == torch.int32
    assert bounds.ends_on(device) is bounds.ends_on(device)
    assert bounds.group_on(device).tolist() == [0, 0, 2, 2, 2]
    assert bounds.hot_on(device).tolist() == [[1, 1, 0, 0, 0], [0] * 5, [0, 0, 1, 1, 1]]
    assert bounds.times(2) is bounds.times(2)
    assert bounds.times(2).groups == ((0, 0, 4), (2, 4, 10))


def test_bounds_that_can_t_be_are_refused() -> None:
    for counts, rows in (([1, -1], None), ([1, 2], [0]), ([1, 2], [0, -1])):
        with pytest.raises(ValueError, match="none may be negative"):
            TaskBounds.of_counts(counts, rows)
    for index in ([0, -1], [[0, 1]]):
        with pytest.raises(ValueError, match="an index is"):
            TaskBounds.of_index(index)  # type: ignore[arg-type]


def network() -> nn.Sequential:
    from accord.pertask import LayerNorm, Linear

    torch.manual_seed(0)
    return nn.Sequential(Linear(K, 8), nn.GELU(), LayerNorm(8), Linear(8, 1, bias=False))


def test_wrong_use_of_a_step_is_refused() -> None:
    model = network()
    jacobian, x, bounds = Jacobian(model.parameters()), drawn(5, K), TaskBounds.of_counts([2, 3])
    first = jacobian.begin(2)
    with first.collecting(bounds):
        late = model(x).sum()
    with first.collecting(), pytest.raises(RuntimeError, match="whose the rows"):
        model(x)
    with first.collecting(bounds), pytest.raises(ValueError, match="4 rows where tasks have 5"):
        model(x[:4])
    three = TaskBounds.of_counts([1, 2, 2])
    with first.collecting(three), pytest.raises(ValueError, match="row 2 of a J of 2"):
        model(x)
    second = jacobian.begin(2)
    uses = [lambda step: step.gramians(), lambda step: step.write(torch.ones(2)),
            lambda step: step.collecting().__enter__(), lambda step: step.dense()]  # fmt: skip
    with pytest.raises(RuntimeError, match="followed by another"):
        late.backward()
    for use in uses:
        with pytest.raises(RuntimeError, match="followed by another"):
            use(first)
    with second.collecting(bounds):
        model(x).sum().backward()
    second.write(torch.ones(2))
    for use in uses:
        with pytest.raises(RuntimeError, match="has written"):
            use(second)


def test_without_shared_parameters_a_step_does_nothing() -> None:
    model = network().requires_grad_(False)
    for parameters in ((), model.parameters()):
        jacobian = Jacobian(parameters)
        assert jacobian.is_empty
        step = jacobian.begin(3)
        with step.collecting():
            model(drawn(5, K))
        assert step.gramians().shape == (0, 3, 3)
        assert step.gramian().tolist() == [[0.0] * 3] * 3
        written = step.write(torch.ones(3))
        assert written.norm() == 0.0
        written.scale(0.5)
        assert jacobian.begin(2).write_by(lambda columns: columns.sum(0)).norm() == 0.0


def test_a_layer_outside_of_j_is_autograd_s() -> None:
    model = network()
    jacobian = Jacobian(model[0].parameters())
    step = jacobian.begin(2)
    with step.collecting(TaskBounds.of_counts([2, 3])):
        weighed(model(drawn(5, K))).sum().backward()
    assert [p.grad is None for p in model[0].parameters()] == [True, True]
    assert all(p.grad is not None for p in model[2:].parameters())
    assert bool(step.dense().any())


def test_recomputation_knows_whose_rows_are_whose() -> None:
    from accord.pertask import checkpoint

    found = []
    for again in (False, True):
        model, x = network(), drawn(5, K).requires_grad_()
        step = Jacobian(model.parameters()).begin(2)
        with step.collecting(TaskBounds.of_counts([2, 3])):
            out = checkpoint(model, x) if again else model(x)
        weighed(out).sum().backward()  # outside of the block
        found.append(step.dense())
    assert torch.equal(*found)
    assert bool(found[0].any(1).all())
