"""Our AdamW against torch's, on either path, with gradients that come and go."""

import copy
import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import Parameter

from accord.errors import TrainingError, UsageError
from accord.optim.adamw import (
    AdamW,
    clip_factor,
    parameter_groups,
    scale_lr,
)
from accord.optim.state import load_state_tensors, state_tensors

SHAPES = [(), (1,), (7,), (33, 5), (64, 48), (3, 4, 5), (0,)]
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def make_params(dtype: torch.dtype, device: str = "cpu") -> list[Parameter]:
    generator = torch.Generator().manual_seed(1)
    return [
        Parameter(torch.randn(shape, generator=generator, dtype=dtype).to(device))
        for shape in SHAPES
    ]


def make_groups(params: list[Parameter]) -> list[dict[str, object]]:
    return [
        {"params": params[::3], "lr": 3e-3},
        {"params": params[1::3], "lr": 1e-2, "weight_decay": 0.3},
        {"params": params[2::3], "betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.0},
    ]


def gradients(params: list[Parameter], steps: int) -> Iterator[list[Tensor | None]]:
    """Gradients over many scales; each parameter is without one at every fourth step or so."""
    generator = torch.Generator().manual_seed(2)
    for _ in range(steps):
        yield [
            None
            if torch.rand((), generator=generator) < 0.25
            else (
                torch.randn(param.shape, generator=generator, dtype=param.dtype)
                * 10.0 ** float(torch.randint(-6, 3, (), generator=generator))
            ).to(param.device)
            for param in params
        ]


def set_gradients(params: list[Parameter], grads: list[Tensor | None]) -> None:
    for param, grad in zip(params, grads, strict=True):
        param.grad = None if grad is None else grad.clone()


def relative_error(actual: Tensor, expected: Tensor) -> float:
    if expected.numel() == 0:
        return 0.0
    return ((actual - expected).abs().max() / expected.abs().max()).item()


def rate(step: int) -> float:
    """A schedule that starts at 0, as a warm-up does."""
    return min(step / 10, 1.0) * 0.995**step


@torch.no_grad()
def assert_close(ours: list[Parameter], theirs: list[Parameter], tolerance: float) -> None:
    for actual, expected in zip(ours, theirs, strict=True):
        assert relative_error(actual, expected) <= tolerance


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_equals_torch_over_200_steps(
    device: str, fused: bool, dtype: torch.dtype, tolerance: float
) -> None:
    ours, theirs = make_params(dtype, device), make_params(dtype, device)
    optimizer = AdamW(make_groups(ours), lr=2e-3, weight_decay=0.01, fused=fused)
    oracle = torch.optim.AdamW(make_groups(theirs), lr=2e-3, weight_decay=0.01, foreach=False)
    for group in (*optimizer.param_groups, *oracle.param_groups):
        group["initial_lr"] = group["lr"]
    for step, grads in enumerate(gradients(ours, 200)):
        set_gradients(ours, grads)
        set_gradients(theirs, grads)
        scale_lr(optimizer, rate(step))
        scale_lr(oracle, rate(step))
        optimizer.step()
        oracle.step()
    assert_close(ours, theirs, tolerance)
    for actual, expected in zip(ours, theirs, strict=True):
        assert optimizer.state[actual]["step"] == oracle.state[expected]["step"] < 200


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.0, 0.0), (0.9999999, 0.9999999)])
def test_fused_path_equals_reference_path(device: str, betas: tuple[float, float]) -> None:
    fast, slow = make_params(torch.float64, device), make_params(torch.float64, device)
    optimizers = [
        AdamW(fast, lr=1e-2, betas=betas, weight_decay=0.1),
        AdamW(slow, lr=1e-2, betas=betas, weight_decay=0.1, fused=False),
    ]
    for grads in gradients(fast, 30):
        for params, optimizer in zip((fast, slow), optimizers, strict=True):
            set_gradients(params, grads)
            optimizer.step()
    assert_close(fast, slow, 1e-12)


@pytest.mark.parametrize("transposed", ["gradient", "parameter", "both"])
def test_strides_do_not_matter(transposed: str) -> None:
    """The fused kernel reads a CPU tensor's memory in order, whatever its strides are."""
    value = torch.arange(12.0).reshape(3, 4)
    grad = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    plain, strided = Parameter(value.clone()), Parameter(value.clone())
    if transposed in ("parameter", "both"):
        strided = Parameter(value.t().contiguous().t())
    plain.grad, strided.grad = grad, grad.clone()
    if transposed in ("gradient", "both"):
        strided.grad = grad.t().contiguous().t()
    for param in (plain, strided):
        AdamW([param], lr=0.1).step()
    torch.testing.assert_close(strided, plain)


def test_absent_gradient_leaves_the_parameter_alone() -> None:
    present, absent = Parameter(torch.ones(3)), Parameter(torch.ones(3))
    optimizer = AdamW([present, absent], lr=0.1, weight_decay=0.5)
    present.grad = torch.ones(3)
    optimizer.step()
    assert absent.tolist() == [1.0, 1.0, 1.0]
    assert absent not in optimizer.state
    assert optimizer.state[present]["step"] == 1


def test_step_returns_what_its_closure_returns() -> None:
    param = Parameter(torch.ones(2))

    def closure() -> float:
        loss = param.square().sum()
        loss.backward()
        return loss.item()

    assert AdamW([param], lr=0.1, weight_decay=0.0).step(closure) == 2.0
    torch.testing.assert_close(param.detach(), torch.full((2,), 0.9))


@pytest.mark.parametrize("through", ["tensors", "state_dict", "deepcopy"])
def test_restored_state_goes_on_bit_for_bit(through: str) -> None:
    params = make_params(torch.float32)
    names = {param: f"layer.{index}" for index, param in enumerate(params)}
    optimizer = AdamW(make_groups(params), lr=2e-3)
    steps = list(gradients(params, 20))
    for grads in steps[:9]:
        set_gradients(params, grads)
        optimizer.step()
    twins = [Parameter(param.detach().clone()) for param in params]
    twin = AdamW(make_groups(twins), lr=2e-3)
    if through == "tensors":
        # Not cloned: loading has to copy, or the two would update the same moments.
        saved = state_tensors(optimizer, names)
        load_state_tensors(twin, dict(zip(twins, names.values(), strict=True)), saved)
    elif through == "state_dict":
        twin.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    else:
        twins, twin = copy.deepcopy((params, optimizer))
    for grads in steps[9:]:
        for tensors, each in ((params, optimizer), (twins, twin)):
            set_gradients(tensors, grads)
            each.step()
    for param, other in zip(params, twins, strict=True):
        assert torch.equal(param, other)
        assert optimizer.state[param]["step"] == twin.state[other]["step"]


def test_state_tensors_name_and_shape() -> None:
    used, unused = Parameter(torch.ones(2, 3)), Parameter(torch.ones(4))
    optimizer = AdamW([used, unused])
    used.grad = torch.ones(2, 3)
    optimizer.step()
    tensors = state_tensors(optimizer, {used: "used", unused: "unused"})
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == {
        "exp_avg.used": (2, 3),
        "exp_avg_sq.used": (2, 3),
        "step.used": (),
    }
    assert tensors["step.used"].dtype == torch.int64


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("exp_avg.w", None, "tensor 'exp_avg.w' is missing"),
        ("step.w", None, "tensor 'step.w' is missing"),
        ("exp_avg.v", torch.ones(2), "no parameter fits tensor 'exp_avg.v'"),
        ("exp_avg_sq.w", torch.ones(3), r"float32 \[3\], should be torch.float32 \[2\]"),
        ("exp_avg_sq.w", torch.ones(2, dtype=torch.float64), "should be torch.float32"),
    ],
)
def test_unfit_state_is_refused_and_changes_nothing(
    name: str, tensor: Tensor | None, message: str
) -> None:
    param = Parameter(torch.ones(2))
    optimizer = AdamW([param])
    param.grad = torch.ones(2)
    optimizer.step()
    before = copy.deepcopy(optimizer.state_dict()["state"])
    tensors = state_tensors(optimizer, {param: "w"})
    tensors["exp_avg.w"] = torch.zeros(2)
    if tensor is None:
        del tensors[name]
    else:
        tensors[name] = tensor
    with pytest.raises(TrainingError, match=message):
        load_state_tensors(optimizer, {param: "w"}, tensors)
    torch.testing.assert_close(optimizer.state_dict()["state"], before)


@pytest.mark.parametrize(
    "setting",
    [{"lr": -1.0}, {"lr": math.nan}, {"eps": -1e-8}, {"weight_decay": -0.1}, {"betas": (0.9, 1.0)}],
)
def test_setting_out_of_range_is_refused(setting: dict[str, object]) -> None:
    param = Parameter(torch.ones(2))
    with pytest.raises(UsageError, match=next(iter(setting))):
        AdamW([{"params": [param], **setting}])


def test_complex_parameter_is_refused() -> None:
    with pytest.raises(UsageError, match="'phase' is complex"):
        AdamW([("phase", Parameter(torch.ones(2, dtype=torch.complex64)))])


def test_sparse_gradient_is_refused_before_anything_moves() -> None:
    dense, table = Parameter(torch.ones(2)), torch.nn.Embedding(4, 2, sparse=True)
    optimizer = AdamW([("dense", dense), ("table", table.weight)])
    dense.grad = torch.ones(2)
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(UsageError, match="gradient of 'table' is sparse"):
        optimizer.step()
    assert dense.tolist() == [1.0, 1.0]


def test_parameter_groups_decay_matrices_alone() -> None:
    encoder = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.LayerNorm(3))
    head = torch.nn.Linear(3, 1)
    groups = parameter_groups(
        [(encoder.named_parameters(), 1e-4), (head.named_parameters(), 1e-3)], 0.1
    )
    optimizer = AdamW(groups)
    actual = {
        tuple(group["param_names"]): (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
    }
    assert actual == {
        ("0.weight",): (1e-4, 0.1),
        ("0.bias", "1.weight", "1.bias"): (1e-4, 0.0),
        ("weight",): (1e-3, 0.1),
        ("bias",): (1e-3, 0.0),
    }
    scale_lr(optimizer, 0.5)
    assert [group["lr"] for group in optimizer.param_groups] == [5e-5, 5e-5, 5e-4, 5e-4]


def test_parameter_groups_of_a_frozen_encoder_hold_heads_alone() -> None:
    groups = parameter_groups([([], 1e-4), (torch.nn.Linear(3, 1).named_parameters(), 1e-3)], 0.1)
    assert [group["lr"] for group in groups] == [1e-3, 1e-3]


@pytest.mark.parametrize("max_norm", [0.5, 5.0, 1e6])
def test_the_factor_is_torchs(max_norm: float) -> None:
    params = make_params(torch.float64)
    set_gradients(params, next(gradients(params, 1)))
    before = [param.grad.clone() for param in params if param.grad is not None]
    norm = torch.nn.utils.clip_grad_norm_(params, max_norm).item()
    clipped = [param.grad for param in params if param.grad is not None]
    for actual, grad in zip(clipped, before, strict=True):
        # Torch adds 1e-6 to the norm that it divides by.
        torch.testing.assert_close(clip_factor(norm, max_norm) * grad, actual, rtol=1e-5, atol=0)


def test_a_norm_that_is_not_finite_scales_nothing() -> None:
    assert clip_factor(math.inf, 1.0) == clip_factor(math.nan, 1.0) == 1.0


def test_no_norm_or_no_limit_scales_nothing() -> None:
    assert clip_factor(0.0, 1.0) == 1.0
    assert clip_factor(123.0, math.inf) == 1.0
    with pytest.raises(UsageError, match="above 0, got 0"):
        clip_factor(1.0, 0.0)
