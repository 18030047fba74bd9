"""AdamW for many tensors at once, its parameter groups, and gradient clipping."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from accord.errors import UsageError

MOMENTS = ("exp_avg", "exp_avg_sq")

# What torch wraps these in imports its compiler, to keep the compiler out of them: seconds.
_add_param_group = inspect.unwrap(Optimizer.add_param_group)


class AdamW(Optimizer):
    """Adam with decoupled weight decay, all tensors of a step in a handful of calls.

    With gradient g and a step count t that starts at 1:

        m ← β₁ m + (1 − β₁) g,    v ← β₂ v + (1 − β₂) g²
        α_t = lr · √(1 − β₂ᵗ) / (1 − β₁ᵗ),    ε̂ = ε · √(1 − β₂ᵗ)
        θ ← (1 − lr · weight_decay) θ − α_t · m / (√v + ε̂)

    *Source:* Kingma & Ba, "Adam", algorithm 1 in the efficient form at the end of section 2;
    Loshchilov & Hutter, "Decoupled Weight Decay Regularization", algorithm 2.

    A parameter whose gradient is None is left alone, decay included, and its count t stays: the
    head of a task that was absent from a step. We differ from the first source in ε̂, which there
    is a constant; scaled like this, the update is algorithm 1's and `torch.optim.AdamW`'s.

    Args:
        params: parameters, (name, parameter) pairs, or groups with settings of their own.
        lr: learning rate, at least 0.
        betas: decay of the two moments, each in [0, 1).
        eps: keeps the division finite, at least 0.
        weight_decay: decay of the weights per unit of learning rate, at least 0.
        fused: let torch's fused kernel do the arithmetic where it can; else the same formula
            in `torch._foreach_*` operations.

    Raises:
        UsageError: a setting out of its range, or a complex parameter.

    Example:
        >>> weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
        >>> optimizer = AdamW([weight], lr=0.1, weight_decay=0.0)
        >>> weight.grad = torch.tensor([5.0, -0.01])
        >>> optimizer.step()
        >>> weight.tolist()  # the first step moves by lr against the gradient's sign
        [0.9000000357627869, -1.9000000953674316]
    """

    _fused = True  # for copies: torch copies groups and state alone
    zero_grad = inspect.unwrap(Optimizer.zero_grad)

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[tuple[str, Tensor]] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        *,
        fused: bool = True,
    ) -> None:
        # Not named 'fused' in a group: torch would turn our integer step counts into tensors.
        self._fused = fused
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters; settings that it doesn't name are the optimizer's own."""
        _add_param_group(self, param_group)
        try:
            _check_group(self.param_groups[-1])
        except UsageError:
            self.param_groups.pop()
            raise

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update every parameter that has a gradient.

        Args:
            closure: recomputes the loss and the gradients first; its result is returned.

        Raises:
            UsageError: a sparse gradient; no parameter has been touched.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self.finish(self.advance())
        return loss

    def advance(self) -> list[Bucket]:
        """Begin a step: advance the counts of the parameters that have a gradient, and gather those
        that one call can update together.

        Raises:
            UsageError: a sparse gradient; nothing has been touched.
        """
        for group in self.param_groups:
            _check_gradients(group)
        return [bucket for group in self.param_groups for bucket in self._buckets(group)]

    @torch.no_grad()
    def finish(self, buckets: Sequence[Bucket]) -> None:
        """Do a step that has begun."""
        for bucket in buckets:
            fused = self._fused and bucket.fits_fused_kernel()
            (_fused_update if fused else _foreach_update)(bucket, bucket.group)

    @torch.no_grad()
    def update(self, buckets: Sequence[Bucket], rates: Tensor, counts: Tensor) -> None:
        """Do a step that has begun, by numbers that the device holds: what is recorded runs again
        with others.

        Args:
            buckets: of the step, on one device; torch's fused kernel takes them.
            rates: float32 [buckets], the learning rate of each, on that device.
            counts: float32 [buckets], the step count of each, from 1.
        """
        for bucket, rate, count in zip(buckets, rates, counts, strict=True):
            beta1, beta2 = bucket.group["betas"]
            torch._fused_adamw_(
                bucket.params,
                bucket.grads,
                bucket.exp_avgs,
                bucket.exp_avg_sqs,
                [],
                [count] * len(bucket.params),
                lr=rate,
                beta1=beta1,
                beta2=beta2,
                weight_decay=bucket.group["weight_decay"],
                eps=bucket.group["eps"],
                amsgrad=False,
                maximize=False,
            )

    def _buckets(self, group: dict[str, Any]) -> Iterable[Bucket]:
        """Advance the counts, and gather the tensors that one call can update together."""
        params = [param for param in group["params"] if param.grad is not None]
        states = [self.state[param] for param in params]
        for param, state in zip(params, states, strict=True):
            if not state:
                state["step"] = 0
                for moment in MOMENTS:
                    state[moment] = torch.zeros_like(param, memory_format=torch.contiguous_format)
            state["step"] += 1
        keys = [
            (state["step"], param.device, param.dtype)
            for param, state in zip(params, states, strict=True)
        ]
        for key in dict.fromkeys(keys):
            chosen = [i for i, other in enumerate(keys) if other == key]
            yield Bucket(
                key[0], group, [params[i] for i in chosen],
                [grad for i in chosen if (grad := params[i].grad) is not None],
                *([states[i][moment] for i in chosen] for moment in MOMENTS),
            )  # fmt: skip


@dataclass
class Bucket:
    """Tensors of one device, dtype and step count, in like order, with their group's settings."""

    step: int
    group: dict[str, Any]
    params: list[Tensor] = field(default_factory=list)
    grads: list[Tensor] = field(default_factory=list)
    exp_avgs: list[Tensor] = field(default_factory=list)
    exp_avg_sqs: list[Tensor] = field(default_factory=list)

    def fits_fused_kernel(self) -> bool:
        """Whether the fused kernel reads these tensors aright: it ignores strides on a CPU."""
        return (
            self.params[0].device.type in ("cpu", "cuda")
            and self.params[0].dtype in (torch.float32, torch.float64)
            and all(param.is_contiguous() for param in self.params)
        )


def _foreach_update(bucket: Bucket, group: dict[str, Any]) -> None:
    """Do the formula operation by operation: the reference."""
    beta1, beta2 = group["betas"]
    root = math.sqrt(1 - beta2**bucket.step)
    step_size = group["lr"] * root / (1 - beta1**bucket.step)
    torch._foreach_mul_(bucket.params, 1 - group["lr"] * group["weight_decay"])
    torch._foreach_lerp_(bucket.exp_avgs, bucket.grads, 1 - beta1)
    torch._foreach_mul_(bucket.exp_avg_sqs, beta2)
    torch._foreach_addcmul_(bucket.exp_avg_sqs, bucket.grads, bucket.grads, 1 - beta2)
    denominators = torch._foreach_sqrt(bucket.exp_avg_sqs)
    torch._foreach_add_(denominators, group["eps"] * root)
    torch._foreach_addcdiv_(bucket.params, bucket.exp_avgs, denominators, -step_size)


def _fused_update(bucket: Bucket, group: dict[str, Any]) -> None:
    """Do the same in one pass over memory, by torch's kernel.

    An infinite step count makes the kernel's own bias corrections 1 − β^∞ = 1 exactly, so that
    α_t and ε̂ act as its rate and ε. It decays by rate · weight_decay, hence the decay's ratio,
    which is lr / α_t written without lr: lr is 0 where a warm-up starts.
    """
    beta1, beta2 = group["betas"]
    root = math.sqrt(1 - beta2**bucket.step)
    ratio = (1 - beta1**bucket.step) / root
    endless = torch.full((), math.inf, device=bucket.params[0].device)
    torch._fused_adamw_(
        bucket.params,
        [grad.contiguous() for grad in bucket.grads],
        bucket.exp_avgs,
        bucket.exp_avg_sqs,
        [],
        [endless] * len(bucket.params),
        lr=group["lr"] / ratio,
        beta1=beta1,
        beta2=beta2,
        weight_decay=group["weight_decay"] * ratio,
        eps=group["eps"] * root,
        amsgrad=False,
        maximize=False,
    )


def _check_group(group: dict[str, Any]) -> None:
    for key in ("lr", "eps", "weight_decay"):
        if not 0 <= group[key] < math.inf:
            raise UsageError(f"AdamW: {key} should be at least 0 and finite, got {group[key]}")
    if len(group["betas"]) != 2 or not all(0 <= beta < 1 for beta in group["betas"]):
        raise UsageError(f"AdamW: betas should be two numbers in [0, 1), got {group['betas']}")
    for index, param in enumerate(group["params"]):
        if param.is_complex():
            raise UsageError(f"AdamW: {_label(group, index)} is complex; use its real view")


def _check_gradients(group: dict[str, Any]) -> None:
    for index, param in enumerate(group["params"]):
        if param.grad is not None and param.grad.layout != torch.strided:
            raise UsageError(
                f"AdamW: the gradient of {_label(group, index)} is sparse; use dense embeddings"
            )


def _label(group: dict[str, Any], index: int) -> str:
    if "param_names" in group:
        return f"'{group['param_names'][index]}'"
    return f"parameter {index} of shape {tuple(group['params'][index].shape)}"


def parameter_groups(
    named: Iterable[tuple[Iterable[tuple[str, Parameter]], float]], weight_decay: float
) -> list[dict[str, Any]]:
    """Return groups for `AdamW`: biases and layer norms without decay, each rate's apart.

    Biases and layer norm weights are recognised by having fewer than two dimensions. Each group
    holds (name, parameter) pairs and its peak rate as `initial_lr`, which `scale_lr` multiplies;
    empty groups are left out.

    *Source:* Devlin et al., "BERT", appendix A.2, whose released code decays neither.

    Example:
        >>> layer = torch.nn.LayerNorm(4)
        >>> parameter_groups([(layer.named_parameters(), 5e-5)], 0.01)[0]["weight_decay"]
        0.0
    """
    groups = []
    for parameters, rate in named:
        pairs = list(parameters)
        for decayed in (True, False):
            params = [(name, param) for name, param in pairs if (param.ndim >= 2) is decayed]
            decay = weight_decay if decayed else 0.0
            groups.append({"params": params, "lr": rate, "initial_lr": rate, "weight_decay": decay})
    return [group for group in groups if group["params"]]


def scale_lr(optimizer: Optimizer, factor: float) -> None:
    """Set every group's rate to `factor` times its `initial_lr`."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor


def clip_factor(norm: float, max_norm: float) -> float:
    """Return what gradients of this norm are multiplied by: min(1, max_norm / norm).

    *Source:* Pascanu et al., "On the difficulty of training recurrent neural networks",
    algorithm 1. A norm that isn't finite gives 1: what to do then is the caller's decision.

    Raises:
        UsageError: `max_norm` is not above 0; `math.inf` clips nothing.

    Example:
        >>> clip_factor(4.0, 1.0), clip_factor(0.5, 1.0)
        (0.25, 1.0)
    """
    if not max_norm > 0:
        raise UsageError(f"max_norm should be above 0, got {max_norm}")
    return max_norm / norm if max_norm < norm < math.inf else 1.0
