"""A dense layer and the activation of it, whose gradients are kept apart by task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import Parameter

from accord.kernels import fused
from accord.kernels.fused import ActivationKernels
from accord.kernels.fused.activations import BLOCK_ROWS
from accord.pertask import by_tensors
from accord.pertask.collecting import TaskRows, task_rows
from accord.pertask.operations import differentiates, linear


def linear_activated(
    x: Tensor, weight: Parameter, bias: Parameter | None,
    activation: Callable[[Tensor], Tensor], kind: str | None,
) -> Tensor:  # fmt: skip
    """Compute f(x Wᵀ + b).

    Bias and f are one kernel each way where a GPU has it (`accord.kernels.fused`): as for
    `dropout_add_norm`, without a step and without gradients, and in a step that takes them apart by
    tensors alone.

    Args:
        x: [n, k].
        weight: [m, k].
        bias: [m]; None adds nothing.
        activation: f.
        kind: what kernels call it; None where they don't know it.
    """
    rows = task_rows(x.shape[0], weight, bias, partly=True)
    kernels = None
    if bias is not None and kind is not None and _may_fuse(rows, bias):
        kernels = fused.activations_for(x, bias, kind)
    if kernels is None or bias is None or kind is None:
        return activation(linear(x, weight, bias))
    product = linear(x, weight)
    if rows is None:
        return kernels.forward(product, bias, kind)
    result: Tensor = _BiasActivation.apply(product, bias, _Form(kernels, rows, kind))  # type: ignore[no-untyped-call]
    return result


def _may_fuse(rows: TaskRows | None, bias: Parameter) -> bool:
    """Whether the kernel's gradients are all that is asked for."""
    if rows is None:
        return not differentiates()
    return rows.step.static and (not bias.requires_grad or rows.step.owns(bias))


class _Form(NamedTuple):
    """How bias and activation are computed: by which kernels, for whom, and what f is."""

    kernels: ActivationKernels
    rows: TaskRows
    kind: str


class _BiasActivation(torch.autograd.Function):
    """Keeps the product. Its gradient is that of x + b too, from which the layer's own weight
    gradients are taken."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Parameter, form: _Form) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bias, ctx.form = bias, form
        return form.kernels.forward(x, bias, form.kind)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (x,), bias = ctx.saved_tensors, ctx.bias
        step, bounds = ctx.form.rows
        blocks = bounds.by_blocks(BLOCK_ROWS) if step.owns(bias) else None
        x_grad, sums = ctx.form.kernels.backward(
            grad, x, bias, ctx.form.kind, sums=blocks is not None
        )
        if blocks is not None:
            by_tensors.add_sums(step, bias, blocks, sums)
        else:
            by_tensors.add_sums(step, bias, bounds, bounds.ordered(x_grad))
        return x_grad, None, None
