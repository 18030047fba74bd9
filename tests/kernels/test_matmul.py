"""Products against float64, in every way of multiplying, and how a way is chosen."""

import contextlib
import math
import threading

import pytest
import torch

from accord.kernels import matmul
from accord.kernels.matmul import (
    DEFAULT,
    MatmulPolicy,
    choose_matmul_policy,
    compute_dtype,
    computing,
    current_matmul_policy,
    onednn_error,
    onednn_is_exact,
)

CPU = torch.device("cpu")
N, K, M = 7, 33, 5
WAYS = {
    "float32": (MatmulPolicy(), torch.float32),
    "native": (MatmulPolicy(bfloat16=True), torch.bfloat16),
    "rounded": (MatmulPolicy(bfloat16=True, rounded=True), torch.bfloat16),
}
HALF_STEP = 2.0**-8  # the relative error of one rounding to bfloat16
SUMMING = 1e-6  # of the terms' sizes: the error of adding up in float32


# Each takes operands and where to write; each returns what float32 or float64 makes of them.
OPERATIONS = {
    "matmul": (MatmulPolicy.mm, lambda a, b: a @ b, ((N, K), (K, M))),
    "matmul of transposed": (
        lambda each, a, b, out=None: each.mm(a.t(), b.t(), out),
        lambda a, b: a.t() @ b.t(),
        ((K, N), (M, K)),
    ),
}


@pytest.fixture(params=WAYS)
def way(request):
    return request.param


@pytest.fixture
def fresh():
    """What is measured once per process is measured within this test alone."""
    caches = (choose_matmul_policy, onednn_error)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


def draw(shapes, dtype):
    return [torch.randn(shape).to(dtype) for shape in shapes]


def assert_near(result, reference, terms, once, twice=False):
    """Within float32's error of adding up, and a result's rounding to bfloat16.

    Args:
        result: of the operation.
        reference: in float64.
        terms: in float64, the sum of the sizes of all that was added up.
        once: whether the result was rounded.
        twice: whether a part of the sum was rounded before, whose size the terms bound.
    """
    bound = SUMMING * terms + HALF_STEP * (once * reference.abs() + twice * terms)
    error = (result.double() - reference).abs()
    assert (error <= bound).all(), f"{(error / bound).max():.3g} times the bound"


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("out_dtype", [None, torch.float32, torch.bfloat16])
def test_operations_against_float64(way, name, out_dtype):
    choice, dtype = WAYS[way]
    operation, formula, shapes = OPERATIONS[name]
    operands = draw(shapes, dtype)
    reference = formula(*(x.double() for x in operands))
    terms = formula(*(x.double().abs() for x in operands)).abs()
    out = None if out_dtype is None else torch.full_like(reference, float("nan"), dtype=out_dtype)
    before = [x.clone() for x in operands]
    result = operation(choice, *operands, **({} if out is None else {"out": out}))
    assert result.dtype == (out_dtype or dtype)
    assert out is None or result is out
    assert all(torch.equal(x, y) for x, y in zip(operands, before, strict=True))
    once = way == "native" or result.dtype == torch.bfloat16  # else float32 from end to end
    assert_near(result, reference, terms, once)


def test_affine_against_float64(way):
    choice, dtype = WAYS[way]
    x, weight, bias = draw(((N, K), (M, K), (M,)), dtype)
    reference = x.double() @ weight.double().t() + bias.double()
    terms = x.double().abs() @ weight.double().abs().t() + bias.double().abs()
    result = choice.affine(x, weight, bias)
    assert result.dtype == dtype
    native = way == "native"  # which may round the product before the bias
    assert_near(result, reference, terms, once=dtype == torch.bfloat16, twice=native)


@pytest.mark.parametrize("out_dtype", [torch.float32, torch.bfloat16])
def test_add_matmul_against_float64(way, out_dtype):
    choice, dtype = WAYS[way]
    a, b = draw(((N, K), (K, M)), dtype)
    out = torch.randn(N, M).to(out_dtype)
    reference = out.double() + a.double() @ b.double()
    terms = out.double().abs() + a.double().abs() @ b.double().abs()
    result = choice.addmm(out, a, b)
    assert result is out
    assert out.dtype == out_dtype
    native = way == "native"  # which rounds the product before it is added
    assert_near(out, reference, terms, once=out_dtype == torch.bfloat16, twice=native)


@pytest.mark.parametrize("name", OPERATIONS)
def test_rounded_equals_native_within_its_rounding(name):
    operation, formula, shapes = OPERATIONS[name]
    operands = draw(shapes, torch.bfloat16)
    native = operation(MatmulPolicy(bfloat16=True), *operands)
    rounded = operation(MatmulPolicy(bfloat16=True, rounded=True), *operands)
    assert native.dtype == rounded.dtype == torch.bfloat16
    # Both are rounded from nearly the same number: at most a step apart, which is two halves.
    terms = formula(*(x.double().abs() for x in operands)).abs()
    bound = SUMMING * terms + 2 * HALF_STEP * rounded.double().abs()
    assert ((native.double() - rounded.double()).abs() <= bound).all()


def test_rounded_keeps_what_float32_has_room_for():
    """Written into float32 the sum is exact; bfloat16's own products round it."""
    a = torch.ones(1, 257, dtype=torch.bfloat16)
    out = torch.empty(1, 1)
    rounded = MatmulPolicy(bfloat16=True, rounded=True)
    assert rounded.mm(a, a.t(), out).item() == 257.0
    assert rounded.mm(a, a.t()).item() == 256.0
    assert MatmulPolicy(bfloat16=True).mm(a, a.t(), out).item() == 256.0


def test_operands_of_other_dtypes_stay_as_they_are():
    x = torch.ones(2)
    rounded = MatmulPolicy(bfloat16=True, rounded=True)
    assert rounded.operand(x) is x
    assert rounded.operand(x.double()).dtype == torch.float64
    assert rounded.operand(x.bfloat16()).dtype == torch.float32
    assert DEFAULT.operand(x.bfloat16()).dtype == torch.bfloat16


def test_the_dtype_of_products():
    x = torch.ones(2)
    with MatmulPolicy().autocast(CPU):
        assert compute_dtype(x) == torch.float32
    with MatmulPolicy(bfloat16=True).autocast(CPU):
        assert compute_dtype(x) == torch.bfloat16
    assert compute_dtype(x.double()) == torch.float64


def stopped(raises):
    return pytest.raises(KeyError) if raises else contextlib.nullcontext()


def rounds():
    """Whether bfloat16's products are computed in float32 here."""
    return (
        current_matmul_policy().operand(torch.ones(1, dtype=torch.bfloat16)).dtype == torch.float32
    )


@pytest.mark.parametrize("raises", [False, True])
def test_computing_restores_the_choice(raises):
    assert not rounds()
    with computing(MatmulPolicy(bfloat16=True, rounded=True)):
        with stopped(raises), computing(DEFAULT):
            assert not rounds()
            if raises:
                raise KeyError
        assert rounds()
    assert not rounds()


@pytest.fixture
def setting():
    """torch's own, which products through oneDNN change."""
    actual = torch.backends.mkldnn.matmul
    before = actual.fp32_precision
    yield actual
    actual.fp32_precision = before


@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("before", ["none", "ieee"])
def test_computing_restores_torch_s_setting(setting, raises, before):
    setting.fp32_precision = before
    with stopped(raises), computing(MatmulPolicy(onednn=True)):
        assert setting.fp32_precision == "bf16"
        if raises:
            raise KeyError
    assert setting.fp32_precision == before


def test_other_ways_leave_torch_s_setting_alone(setting):
    before = setting.fp32_precision
    with computing(MatmulPolicy(bfloat16=True, rounded=True)):
        assert setting.fp32_precision == before


@pytest.mark.parametrize(
    ("choice", "multiple"),
    [
        (MatmulPolicy(), 1),
        (MatmulPolicy(onednn=True), 32),
        (MatmulPolicy(bfloat16=True), 32),
        (MatmulPolicy(bfloat16=True, rounded=True), 1),
        (MatmulPolicy(bfloat16=True, onednn=True, rounded=True), 32),
    ],
)
def test_rows_are_even_where_onednn_or_native_bfloat16_multiplies(choice, multiple):
    assert choice.row_multiple == multiple


def refuse(*arguments):
    raise AssertionError("nothing is to be measured here")


@pytest.mark.parametrize(
    ("precision", "policy"),
    [
        ("float32", MatmulPolicy()),
        ("bfloat16", MatmulPolicy(bfloat16=True)),
        ("tf32", MatmulPolicy(tf32=True)),
    ],
)
def test_off_the_cpu_nothing_is_measured(fresh, monkeypatch, precision, policy):
    monkeypatch.setattr(matmul, "product_seconds", refuse)
    monkeypatch.setattr(matmul, "onednn_is_exact", refuse)
    assert choose_matmul_policy(torch.device("cuda"), precision) == policy


@pytest.mark.parametrize("exact", [False, True])
def test_float32_goes_through_onednn_where_that_is_exact(fresh, monkeypatch, exact):
    monkeypatch.setattr(matmul, "product_seconds", refuse)
    monkeypatch.setattr(matmul, "onednn_is_exact", lambda: exact)
    assert choose_matmul_policy(CPU) == MatmulPolicy(onednn=exact)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(("seconds", "rounded"), [(0.5, False), (1.0, False), (1.5, True)])
def test_bfloat16_is_rounded_where_its_products_take_longer(
    fresh, monkeypatch, exact, seconds, rounded
):
    times = {torch.bfloat16: seconds, torch.float32: 1.0}
    monkeypatch.setattr(matmul, "product_seconds", times.__getitem__)
    monkeypatch.setattr(matmul, "onednn_is_exact", lambda: exact)
    assert choose_matmul_policy(CPU, "bfloat16") == MatmulPolicy(
        True, onednn=exact, rounded=rounded
    )


def test_a_choice_is_measured_once(fresh, monkeypatch):
    measured = []
    monkeypatch.setattr(matmul, "product_seconds", lambda dtype: measured.append(dtype) or 1.0)
    assert choose_matmul_policy(CPU, "bfloat16") == choose_matmul_policy(CPU, "bfloat16")
    assert sorted(measured, key=str) == [torch.bfloat16, torch.float32]


@pytest.mark.parametrize(
    ("error", "exact"),
    [(None, False), (2e-7, True), (9e-6, True), (2e-3, False), (float("nan"), False)],
)
def test_onednn_is_exact_by_its_error(monkeypatch, error, exact):
    monkeypatch.setattr(matmul, "onednn_error", lambda: error)
    assert onednn_is_exact() is exact


def test_a_torch_without_onednn(fresh, monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert onednn_error() is None
    assert not onednn_is_exact()


def exact(left, right):
    return torch.mm(left.double(), right.double()).float()


def in_bfloat16(left, right):
    return torch.mm(left.bfloat16(), right.bfloat16()).float()


def broken(left, right):
    return exact(left, right) * float("nan")


def compute_float32(monkeypatch, way, rows=(64, 1024)):
    """Let products of float32 with @ be computed in some way for some rows, else exactly."""

    def multiply(left, right):
        if left.dtype != torch.float32:
            return torch.mm(left, right)
        return way(left, right) if len(left) in rows else exact(left, right)

    monkeypatch.setattr(torch.Tensor, "__matmul__", multiply)


def test_the_error_of_products_in_float32(fresh, monkeypatch):
    compute_float32(monkeypatch, exact)
    assert 0 < onednn_error() < 1e-6
    assert onednn_is_exact()


@pytest.mark.parametrize("rows", [(64,), (1024,), (64, 1024)])
def test_the_error_is_the_worst_over_the_shapes(fresh, monkeypatch, rows):
    """What a processor does whose oneDNN computes in bfloat16 inside, for all sizes or one."""
    compute_float32(monkeypatch, in_bfloat16, rows)
    assert 1e-4 < onednn_error() < 1e-2
    assert not onednn_is_exact()


@pytest.mark.parametrize("rows", [(64,), (1024,)])
def test_a_product_that_is_not_finite_is_not_exact(fresh, monkeypatch, rows):
    compute_float32(monkeypatch, broken, rows)
    assert math.isnan(onednn_error())
    assert not onednn_is_exact()


def test_the_error_is_measured_through_onednn_and_once(fresh, monkeypatch, setting):
    seen = []
    compute_float32(monkeypatch, lambda *pair: seen.append(setting.fp32_precision) or exact(*pair))
    assert onednn_error() == onednn_error()
    assert seen == ["bf16", "bf16"]


def test_measuring_leaves_torch_s_settings_alone(fresh, setting):
    before = setting.fp32_precision
    torch.set_num_threads(2)
    choose_matmul_policy(CPU, "bfloat16")
    assert (setting.fp32_precision, torch.get_num_threads()) == (before, 2)


def test_the_setting_stays_while_any_thread_is_within(setting):
    """However blocks of threads overlap, it is as before after the last of them."""
    before, policy, seen = setting.fp32_precision, MatmulPolicy(onednn=True), []
    first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))

    def second():
        first_is_in.wait()
        with computing(policy):
            second_is_in.set()
            first_is_out.wait()
            seen.append(setting.fp32_precision)

    thread = threading.Thread(target=second)
    thread.start()
    with computing(policy):
        first_is_in.set()
        second_is_in.wait()
    first_is_out.set()
    thread.join()
    assert seen == ["bf16"]
    assert setting.fp32_precision == before
