"""Every path of attention against the formula, with and without dropout."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from accord.kernels.attention import AttentionPlan, attend, plan_attention, reference
from accord.kernels.dropout import DropoutKey, kept_scale
from accord.kernels.matmul import DEFAULT, MatmulPolicy, computing

CPU = torch.device("cpu")
HEADS, HIDDEN = 2, 16
MIXES = {
    "equal": [6, 6, 6, 6],
    "unequal": [1, 5, 8, 2, 7, 7, 3],
    "near": [8, 7, 8, 7, 8],
    "one": [4],
    "single tokens": [1, 1, 1],
}
Attend = Callable[..., Tensor]


def inputs(lengths: list[int], cls: bool, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Query and key_value; both need gradients."""
    generator = torch.Generator().manual_seed(sum(lengths))
    rows = len(lengths) if cls else sum(lengths)
    shapes = [(rows, HIDDEN), (sum(lengths), 2 * HIDDEN)]
    return [torch.randn(shape, generator=generator).to(dtype).requires_grad_() for shape in shapes]


def formula(query: Tensor, key_value: Tensor, lengths: list[int], cls: bool) -> Tensor:
    """One sequence after the other, by torch's own attention."""
    outputs = []
    queries = query.split([1] * len(lengths) if cls else lengths)
    for q, kv in zip(queries, key_value.split(lengths), strict=True):
        parts = (q, *kv.split(HIDDEN, dim=1))
        heads = (x.unflatten(1, (HEADS, -1)).transpose(0, 1) for x in parts)
        outputs.append(F.scaled_dot_product_attention(*heads).transpose(0, 1).flatten(1))
    return torch.cat(outputs)


def assert_equal_with_gradients(
    ours: Tensor, expected: Tensor, tensors: list[Tensor], tolerance: float = 2e-6
) -> None:
    probe = torch.randn_like(expected)
    torch.testing.assert_close(ours, expected, rtol=tolerance, atol=tolerance)
    gradients = torch.autograd.grad(ours, tensors, probe.to(ours.dtype))
    wanted = torch.autograd.grad(expected, tensors, probe)
    for gradient, other in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(gradient, other, rtol=5 * tolerance, atol=5 * tolerance)


@pytest.mark.parametrize("cls", [False, True])
@pytest.mark.parametrize("name", MIXES)
@pytest.mark.parametrize("path", [reference, attend])
def test_equals_the_formula(path: Attend, name: str, cls: bool) -> None:
    lengths = MIXES[name]
    tensors = inputs(lengths, cls)
    plan = plan_attention(lengths, CPU, cls_queries=cls)
    assert_equal_with_gradients(
        path(*tensors, plan, HEADS), formula(*tensors, lengths, cls), tensors
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="its kernels run on a GPU")
@pytest.mark.parametrize("name", MIXES)
def test_gpu_half_precision_is_near_the_formula(name: str) -> None:
    lengths, device = MIXES[name], torch.device("cuda")
    tensors = [x.detach().to(device).requires_grad_() for x in inputs(lengths, cls=False)]
    half = [x.detach().bfloat16().requires_grad_() for x in tensors]
    out = attend(*half, plan_attention(lengths, device), HEADS)
    expected = formula(*tensors, lengths, cls=False)
    torch.testing.assert_close(out.float(), expected, rtol=0.03, atol=0.03)
    probe = torch.randn_like(expected)
    gradients = torch.autograd.grad(out, half, probe.bfloat16())
    for gradient, other in zip(
        gradients, torch.autograd.grad(expected, tensors, probe), strict=True
    ):
        assert (gradient.float() - other).norm() <= 0.03 * other.norm() + 1e-3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="its kernels run on a GPU")
def test_gpu_dropout_is_a_function_of_the_key() -> None:
    device = torch.device("cuda")
    tensors = [x.detach().to(device).bfloat16() for x in inputs(MIXES["unequal"], cls=False)]
    plan = plan_attention(MIXES["unequal"], device)
    first, again, other, plain = (
        attend(*tensors, plan, HEADS, 0.5, key)
        for key in (DropoutKey(0, 0), DropoutKey(0, 0), DropoutKey(0, 1), None)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, plain)


@given(lengths=st.lists(st.integers(1, 24), min_size=1, max_size=12), cls=st.booleans())
def test_any_lengths(lengths: list[int], cls: bool) -> None:
    tensors = inputs(lengths, cls)
    plan = plan_attention(lengths, CPU, cls_queries=cls)
    assert_equal_with_gradients(
        attend(*tensors, plan, HEADS), formula(*tensors, lengths, cls), tensors
    )


def test_large_scores_do_not_overflow() -> None:
    lengths = [3, 5]
    query, key_value = inputs(lengths, cls=False)
    plan = plan_attention(lengths, CPU)
    out = attend(query * 1e4, key_value * 1e4, plan, HEADS)
    expected = reference(query * 1e4, key_value * 1e4, plan, HEADS)
    assert bool(out.isfinite().all())
    torch.testing.assert_close(out, expected)


@pytest.mark.parametrize("cls", [False, True])
def test_bfloat16_is_close(cls: bool) -> None:
    lengths = MIXES["unequal"]
    tensors = inputs(lengths, cls, torch.bfloat16)
    out = attend(*tensors, plan_attention(lengths, CPU, cls_queries=cls), HEADS)
    gradients = torch.autograd.grad(out.float().square().sum(), tensors)
    exact = [x.detach().float().requires_grad_() for x in tensors]
    expected = formula(*exact, lengths, cls)
    wanted = torch.autograd.grad(expected.square().sum(), exact)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), expected, rtol=0.02, atol=0.02)
    for gradient, other in zip(gradients, wanted, strict=True):
        assert gradient.dtype == torch.bfloat16
        assert (gradient.float() - other).norm() < 0.02 * other.norm()


@pytest.mark.parametrize("cls", [False, True])
def test_sequences_do_not_influence_each_other(cls: bool) -> None:
    """The Jacobian of one sequence's output by another's input is exactly 0."""
    lengths = [5, 5, 8, 4]
    query, key_value = inputs(lengths, cls)
    out = attend(query, key_value, plan_attention(lengths, CPU, cls_queries=cls), HEADS)
    rows = [1] * 4 if cls else lengths
    by_query, by_key = torch.autograd.grad(out.split(rows)[2].sum(), (query, key_value))
    for i, (each, other) in enumerate(
        zip(by_query.split(rows), by_key.split(lengths), strict=True)
    ):
        assert bool(each.any()) is (i == 2)
        assert bool(other.any()) is (i == 2)


def dropped(
    path: Attend, query: Tensor, key: Tensor, plan: AttentionPlan, p: float, at: DropoutKey
) -> list[Tensor]:
    """Each sequence's attention probabilities after dropout, [heads, queries, keys].

    The output is linear in the values: values that are unit vectors show its matrix.
    """
    width = HIDDEN // HEADS
    assert max(plan.lengths) <= width
    units = torch.cat([torch.eye(width)[:length].repeat(1, HEADS) for length in plan.lengths])
    out = path(query, torch.cat([key, units], dim=1), plan, HEADS, p, at)
    sizes = [1] * len(plan.lengths) if plan.cls_queries else list(plan.lengths)
    return [
        rows.unflatten(1, (HEADS, width)).transpose(0, 1)[..., :length].detach()
        for rows, length in zip(out.split(sizes), plan.lengths, strict=True)
    ]


@pytest.mark.parametrize("cls", [False, True])
@pytest.mark.parametrize("name", MIXES)
@pytest.mark.parametrize("path", [reference, attend])
def test_dropout_is_on_the_probabilities_and_its_gradient_too(
    path: Attend, name: str, cls: bool
) -> None:
    """With the mask that a path drew, the plain formula gives its output and gradients."""
    lengths, p, at = MIXES[name], 0.4, DropoutKey(1, 2, 3, 4)
    plan = plan_attention(lengths, CPU, cls_queries=cls)
    query, key_value = tensors = inputs(lengths, cls)
    shown = dropped(path, query, key_value[:, :HIDDEN], plan, p, at)
    outputs = []
    queries = query.split([1] * len(lengths) if cls else lengths)
    for each, kv, after in zip(queries, key_value.split(lengths), shown, strict=True):
        parts = (each, *kv.split(HIDDEN, dim=1))
        q, k, v = (x.unflatten(1, (HEADS, -1)).transpose(0, 1) for x in parts)
        before = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(HIDDEN // HEADS), -1)
        mask = (after != 0) * kept_scale(p)
        torch.testing.assert_close(before * mask, after, rtol=1e-5, atol=1e-6)
        outputs.append(((before * mask) @ v).transpose(0, 1).flatten(1))
    assert_equal_with_gradients(path(*tensors, plan, HEADS, p, at), torch.cat(outputs), tensors)


@pytest.mark.parametrize("path", [reference, attend])
def test_dropout_rate_and_key(path: Attend) -> None:
    lengths, p = [8] * 60 + [5] * 40, 0.1
    plan = plan_attention(lengths, CPU)
    query, key_value = inputs(lengths, cls=False)

    def kept(at: DropoutKey) -> Tensor:
        shown = dropped(path, query, key_value[:, :HIDDEN], plan, p, at)
        return torch.cat([(part != 0).flatten() for part in shown])

    first = kept(DropoutKey(0, 0, 0, 5))
    deviation = math.sqrt(p * (1 - p) / len(first))
    assert abs(float(first.double().mean()) - (1 - p)) < 5 * deviation
    assert torch.equal(first, kept(DropoutKey(0, 0, 0, 5)))
    for at in (DropoutKey(1, 0, 0, 5), DropoutKey(0, 1, 0, 5), DropoutKey(0, 0, 1, 5)):
        assert not torch.equal(first, kept(at))


def test_dropout_differs_between_heads_and_sequences() -> None:
    lengths = [8, 8, 4, 4]
    query, key_value = inputs(lengths, cls=False)
    plan = plan_attention(lengths, CPU)
    shown = dropped(attend, query, key_value[:, :HIDDEN], plan, 0.5, DropoutKey(0, 0))
    masks = [tuple((head != 0).flatten().tolist()) for part in shown for head in part]
    assert len(set(masks)) == len(masks)


@pytest.mark.parametrize("p", [0.0, 0.3])
def test_gradient_equals_finite_differences(p: float) -> None:
    """With a fixed key, to the single precision in which attention computes."""
    lengths = [3, 2, 3]
    tensors = [x.detach().double().requires_grad_() for x in inputs(lengths, cls=False)]
    plan = plan_attention(lengths, CPU)

    def function(query: Tensor, key_value: Tensor) -> Tensor:
        return attend(query, key_value, plan, HEADS, p, DropoutKey(0, 0))

    assert torch.autograd.gradcheck(function, tensors, eps=1e-3, atol=1e-3, rtol=1e-3)


def test_without_gradients_the_result_is_the_same() -> None:
    lengths = MIXES["unequal"]
    tensors = inputs(lengths, cls=False)
    plan = plan_attention(lengths, CPU)
    with torch.inference_mode():
        inside = attend(*tensors, plan, HEADS)
    assert torch.equal(inside, attend(*tensors, plan, HEADS))


# Each a bucket of its own, longest first: `attend` and `reference` draw the same masks.
APART = [24, 16, 10, 6, 3, 1]
RATES = pytest.mark.parametrize("p", [0.0, 0.3], ids=["no-dropout", "dropout"])
Found = tuple[Tensor, ...]


def passes(
    path: Attend,
    lengths: list[int],
    cls: bool,
    p: float,
    dtype: torch.dtype = torch.float32,
    matmul: MatmulPolicy = DEFAULT,
) -> Found:
    """The output, and the gradients of queries and of keys and values."""
    tensors = [x.detach().to(dtype).requires_grad_() for x in inputs(lengths, cls, torch.bfloat16)]
    plan = plan_attention(lengths, CPU, cls_queries=cls)
    with computing(matmul):
        out = path(*tensors, plan, HEADS, p, DropoutKey(5, 6, 7, 8))
        probe = torch.randn(out.shape, generator=torch.Generator().manual_seed(3)).bfloat16()
        actual = out, *torch.autograd.grad(out, tensors, probe.to(dtype))
    assert all(x.dtype == dtype for x in actual)
    return tuple(x.detach().double() for x in actual)


def errors(ours: Found, expected: Found) -> list[float]:
    return [float((a - b).norm() / b.norm()) for a, b in zip(ours, expected, strict=True)]


@RATES
@pytest.mark.parametrize("cls", [False, True])
def test_buckets_equal_the_reference_with_its_masks(cls: bool, p: float) -> None:
    plan = plan_attention(APART, CPU, cls_queries=cls)
    assert [(bucket.count, bucket.length) for bucket in plan.buckets] == [(1, n) for n in APART]
    expected = passes(reference, APART, cls, p)
    assert max(errors(passes(attend, APART, cls, p), expected)) < 1e-5
    assert max(errors(expected, passes(reference, APART, cls, p, torch.float64))) < 1e-5


@RATES
@pytest.mark.parametrize("rounded", [False, True], ids=["native", "rounded"])
@pytest.mark.parametrize("cls", [False, True])
@pytest.mark.parametrize("name", MIXES)
def test_on_a_cpu_bfloat16_is_computed_in_float32(
    name: str, cls: bool, rounded: bool, p: float
) -> None:
    """To the bit, whatever stands for bfloat16; only what comes out is rounded."""
    matmul = MatmulPolicy(bfloat16=True, rounded=rounded)
    ours = passes(attend, MIXES[name], cls, p, torch.bfloat16, matmul)
    for our, exact in zip(ours, passes(attend, MIXES[name], cls, p), strict=True):
        assert torch.equal(our, exact.bfloat16().double())
