"""Weights laid out for inference multiply as in full precision, or at least as well as bfloat16."""

import pytest
import torch

from accord.kernels import dense
from accord.kernels.dense import FEW_ROWS, lay_out
from accord.kernels.matmul import MatmulPolicy

ROWS = (1, 2, FEW_ROWS, FEW_ROWS + 1, 200)
SHAPES = ((40, 16), (16, 40), (16, 16), (1, 7))
ROUNDED = MatmulPolicy(bfloat16=True, onednn=True, rounded=True)
POLICIES = [MatmulPolicy(), MatmulPolicy(onednn=True), ROUNDED, MatmulPolicy(bfloat16=True)]


def error(weight, bias, x, policy):
    """The relative error of a product, against one in float64."""
    shift = 0 if bias is None else bias.double()
    exact = x.double() @ weight.double().t() + shift
    return float((lay_out(weight, bias, policy)(x) - exact).norm() / exact.norm())


@pytest.mark.parametrize("policy", POLICIES, ids=str)
@torch.inference_mode()
def test_products_are_what_they_would_be(policy):
    limit = 2.0**-7 if policy.bfloat16 else 1e-6
    for (m, k), rows in ((shape, rows) for shape in SHAPES for rows in ROWS):
        weight, x = torch.randn(m, k), torch.randn(rows, k)
        for bias in (None, torch.randn(m)):
            assert error(weight, bias, x, policy) < limit, (m, k, rows)
            product = lay_out(weight, bias, policy)
            assert torch.equal(product(x), product(x))


@pytest.mark.parametrize("scale", [1e-30, 1e-9, 1e-3, 1.0, 1e4, 1e6, 1e30])
@torch.inference_mode()
def test_weights_of_any_size_are_no_worse_than_bfloat16(scale):
    """Half precision ends at 65504 and 6e-8: others go another way."""
    weight, x = scale * torch.randn(20, 30), torch.randn(5, 30)
    assert error(weight, None, x, ROUNDED) < 2.0**-7


@pytest.mark.slow
@torch.inference_mode()
def test_a_torch_without_half_precision_products_rounds(monkeypatch):
    """By the same numbers as bfloat16 instructions: operands rounded, sums in float32."""
    monkeypatch.setattr(dense, "packs_half", lambda: False)
    weight, x, bias = torch.randn(20, 30), torch.randn(5, 30), torch.randn(20)
    expected = x.bfloat16().double() @ weight.bfloat16().double().t() + bias.double()
    torch.testing.assert_close(
        lay_out(weight, bias, ROUNDED)(x).double(), expected, atol=1e-4, rtol=1e-5
    )
