"""Dropout, a sum and its norm: the formula is autograd's, and which device gets kernels."""

import sys
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from accord.kernels import fused
from accord.kernels.dropout import DropoutKey, dropout_add, kept_scale
from accord.kernels.fused import Case, activations, formula
from accord.kernels.fused.formula import Gradients, Norm, Normed, Summands

CPU, CUDA, KEY, P = torch.device("cpu"), torch.device("cuda"), DropoutKey(3, 1), 0.4


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_a_row_by_hand() -> None:
    """r = (1, 2, 0, 4), of x = (7, 1, 2, 1) stay the middle two, twice: z = (1, 4, 4, 4)."""
    summands = Summands(
        torch.tensor([[7.0, 1.0, 2.0, 1.0]]), torch.tensor([[1.0, 2.0, 0.0, 4.0]]),
        torch.tensor([[False, True, True, False]]), 2.0,
    )  # fmt: skip
    norm = Norm(torch.tensor([2.0, 1.0, 1.0, 1.0]), torch.tensor([0.0, 0.0, 1.0, 0.0]), 0.0)
    y, rounded, saved = formula.forward(summands, norm, torch.bfloat16)
    assert saved is not None
    assert rounded is not None
    assert saved.total.tolist() == [[1, 4, 4, 4]]
    # mean 13/4, deviations -9/4 and 3/4, variance 27/16.
    assert saved.mean.tolist() == [3.25]
    third = 3**-0.5
    torch.testing.assert_close(saved.rstd, torch.tensor([4 / 3 * third]))
    expected = torch.tensor([[-6 * third, third, third + 1, third]])
    torch.testing.assert_close(y, expected)
    assert torch.equal(rounded, y.bfloat16())
    # dy of the second: w ∘ dy has mean 1/4, and 1/4√3 with x̂ = (-√3, 1/√3, 1/√3, 1/√3).
    dy = torch.tensor([[0.0, 1.0, 0.0, 0.0]])
    residual, x, terms = formula.backward(
        dy, None, saved, norm.weight, summands.keep, 2.0, torch.float32
    )
    rstd = 4 / 3 * third
    torch.testing.assert_close(residual, rstd * torch.tensor([[0, 2 / 3, -1 / 3, -1 / 3]]))
    torch.testing.assert_close(x, rstd * torch.tensor([[0, 4 / 3, -2 / 3, 0]]))
    torch.testing.assert_close(terms, torch.tensor([[0, third, 0, 0, 0, 1, 0, 0]]))


@pytest.mark.parametrize("biased", [False, True], ids=["no bias", "bias"])
@pytest.mark.parametrize("key", [None, KEY], ids=["no mask", "mask"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_formula_is_the_composition(
    dtype: torch.dtype, key: DropoutKey | None, biased: bool
) -> None:
    """Forward and backward, where both results have a part in the loss."""
    rows, width = 7, 12
    x, residual = (drawn(rows, width, seed=i).requires_grad_() for i in (0, 1))
    x = x.detach().to(dtype).requires_grad_()
    weight, bias = (drawn(width, seed=i).requires_grad_() for i in (2, 3))
    probes = drawn(rows, width, seed=4), drawn(rows, width, seed=5).bfloat16()
    y = F.layer_norm(
        dropout_add(x, residual, P, key), (width,), weight, bias if biased else None, 1e-5
    )
    loss = (y * probes[0]).sum() + (y * probes[1].float()).sum()
    inputs = [residual, x, weight, *([bias] if biased else [])]
    expected = torch.autograd.grad(loss, inputs)

    keep = None if key is None else key.keep_mask(x.shape, P, CPU)
    norm = Norm(weight.detach(), bias.detach() if biased else None, 1e-5)
    summands = Summands(x.detach(), residual.detach(), keep, kept_scale(P))
    ours, rounded, saved = formula.forward(summands, norm, torch.bfloat16)
    assert saved is not None
    torch.testing.assert_close(ours, y.detach())
    torch.testing.assert_close(rounded, y.detach().bfloat16())
    torch.testing.assert_close(saved.mean, saved.total.mean(1))
    variance = saved.total.var(1, correction=0)
    torch.testing.assert_close(saved.rstd, (variance + 1e-5).rsqrt())
    by_residual, by_x, terms = formula.backward(
        *probes, saved, norm.weight, keep, kept_scale(P), dtype
    )
    torch.testing.assert_close(by_residual, expected[0])
    assert by_x.dtype == dtype
    torch.testing.assert_close(by_x, expected[1])
    sums = terms.sum(0).chunk(2)
    for total, parameter in zip(sums, expected[2:], strict=False):
        torch.testing.assert_close(total, parameter)
    assert formula.forward(summands, norm, saves=False)[1:] == (None, None)


def test_what_is_not_finite_is_seen_where_it_is_dropped_too() -> None:
    """As in `dropout_add`: a run says which examples gave such values."""
    x, residual = drawn(2, 4, seed=0), drawn(2, 4, seed=1)
    x[0, 1] = torch.inf
    keep = torch.ones(2, 4, dtype=torch.bool)
    keep[0, 1] = False
    norm = Norm(torch.ones(4), None, 1e-5)
    y = formula.forward(Summands(x, residual, keep, 1.0), norm).y
    assert y.isnan().all(1).tolist() == [True, False]


def test_a_cpu_gets_no_kernels() -> None:
    assert fused.fault(CPU) == "it takes a GPU"
    assert not fused.works(CPU)
    x, weight = drawn(2, 4, seed=0), torch.ones(4)
    assert fused.kernels_for(x, x, weight, None) is None
    assert "accord.kernels.fused.row_kernels" not in sys.modules


def test_without_triton_a_gpu_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "accord.kernels.fused.row_kernels", None)
    monkeypatch.delattr(fused, "row_kernels", raising=False)
    fault = fused.fault.__wrapped__(CUDA)
    assert "row_kernels" in fault
    assert "\n" not in fault


@pytest.mark.parametrize(
    ("changed", "fits"),
    [
        ({}, True),
        ({"x": (3, 8, torch.bfloat16)}, True),
        ({"x": (3, 8, torch.float64)}, False),
        ({"residual": (3, 8, torch.bfloat16)}, False),
        ({"weight": (8, torch.float64)}, False),
        ({"bias": (8, torch.float64)}, False),
        ({"residual": (1, 8, torch.float32)}, False),
        ({"x": (0, 8, torch.float32), "residual": (0, 8, torch.float32)}, False),
        ({"x": (3, 2, 8, torch.float32), "residual": (3, 2, 8, torch.float32)}, False),
        ({"weight": (3, 8, torch.float32)}, False),
    ],
)
def test_kernels_take_float32_rows(changed: dict[str, tuple], fits: bool) -> None:
    given = {"x": (3, 8, torch.float32), "residual": (3, 8, torch.float32),
             "weight": (8, torch.float32), "bias": (8, torch.float32), **changed}  # fmt: skip
    tensors = {name: torch.ones(size[:-1], dtype=size[-1]) for name, size in given.items()}
    assert fused.fits(**tensors) is fits


def test_kernels_take_rows_of_one_block() -> None:
    for width, fits in ((fused.WIDEST, True), (fused.WIDEST + 1, False)):
        x = torch.ones(1, width)
        assert fused.fits(x, x, x[0], None) is fits


@dataclass
class Wrong:
    """The formula, with something changed in one of its results."""

    changed: str
    by: float
    calls: int = 0

    def forward(self, summands: Summands, norm: Norm, *given: object, **named: bool) -> Normed:
        made = formula.forward(summands, norm, *given, **named)
        return made._replace(y=self.wrong(made.y)) if self.changed == "y" else made

    def backward(self, *given: object) -> Gradients:
        made = formula.backward(*given)
        if self.changed not in Gradients._fields:
            return made
        return made._replace(**{self.changed: self.wrong(getattr(made, self.changed))})

    def wrong(self, right: Tensor) -> Tensor:
        self.calls += 1
        wrong = right.clone()
        wrong[-1, -1] += self.by * (self.calls if self.by < 1e-5 else 1)
        return wrong


@pytest.mark.parametrize("changed", ["y", "residual", "x", "terms"])
def test_wrong_results_are_told(changed: str) -> None:
    case = Case(24, torch.float32, plain=False)
    assert fused._fault(formula, case, CPU) is None
    assert "differ from the reference's by" in fused._fault(Wrong(changed, 1e-2), case, CPU)
    assert fused._fault(Wrong(changed, float("nan")), case, CPU) is not None
    assert fused._fault(Wrong(changed, 3e-6), case, CPU) == "it is not repeatable"


class WrongActivation:
    """The formula, with something added to one of its results."""

    def __init__(self, changed: str, by: float) -> None:
        self.changed, self.by, self.calls = changed, by, 0

    def forward(self, *given: object) -> Tensor:
        return self.wrong("y", activations.forward(*given))

    def backward(self, *given: object) -> tuple[Tensor, Tensor]:
        x, sums = activations.backward(*given)
        return self.wrong("x", x), self.wrong("sums", sums)

    def wrong(self, name: str, right: Tensor) -> Tensor:
        if name != self.changed:
            return right
        self.calls += 1
        wrong = right.clone()
        wrong[-1, -1] += self.by * (self.calls if self.by < 1e-4 else 1)
        return wrong


@pytest.mark.parametrize("changed", ["y", "x", "sums"])
def test_wrong_activations_are_told(changed: str) -> None:
    case = ("gelu", torch.float32, CPU)
    assert fused._activation_fault(activations, *case) is None
    fault = fused._activation_fault(WrongActivation(changed, 1e-2), *case)
    assert "differ from the reference's by" in fault
    assert fused._activation_fault(WrongActivation(changed, float("nan")), *case) is not None
    unsteady = fused._activation_fault(WrongActivation(changed, 1e-5), *case)
    assert unsteady == "it is not repeatable"


def test_activations_of_a_cpu_have_no_kernels() -> None:
    x, bias = drawn(2, 4, seed=0), torch.ones(3)
    assert fused.activations_for(x, bias, "gelu") is None
    assert fused.activation_fault(CPU, "gelu", torch.float32) == "it takes a GPU"
    assert "accord.kernels.fused.activation_kernels" not in sys.modules


def test_an_activation_is_tried_after_the_other_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """One switch for all: where those of sums and norms don't work, these aren't used either."""
    asked = fused.activation_fault.__wrapped__
    monkeypatch.setattr(fused, "fault", lambda device: "no such kernels")
    assert asked(CUDA, "gelu", torch.bfloat16) == "no such kernels"
    monkeypatch.setattr(fused, "fault", lambda device: None)
    monkeypatch.setitem(sys.modules, "accord.kernels.fused.activation_kernels", None)
    monkeypatch.delattr(fused, "activation_kernels", raising=False)
    assert "activation_kernels" in asked(CUDA, "gelu", torch.bfloat16)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="its kernels run on a GPU")
def test_the_kernels_agree_with_the_reference() -> None:
    assert fused.fault(CUDA) is None
    for kind in activations.KINDS:
        for dtype in (torch.float32, torch.bfloat16):
            assert fused.activation_fault(CUDA, kind, dtype) is None
