"""Differentiable operations whose weight gradients are kept apart by task.

Without a step that collects (`accord.pertask.step`), each is torch's own operation. Within one the
backward pass returns the ordinary gradient of the input, and adds each task's weight gradients to J
instead of summing them into `.grad`. Rows of an input are its dimension 0.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import Parameter
from torch.nn import functional as F

from accord.kernels import fused
from accord.kernels.dropout import DropoutKey, dropout_add, kept_scale
from accord.kernels.fused import Kernels
from accord.kernels.fused.formula import Norm, Saved, Summands
from accord.kernels.matmul import MatmulPolicy, compute_dtype, current_matmul_policy
from accord.pertask import by_offsets, by_tensors
from accord.pertask.collecting import TaskRows, collects, task_rows
from accord.pertask.step import Step


def _form(step: Step) -> Any:
    """Return how a step takes gradients apart."""
    return by_tensors if step.static else by_offsets


def _of_matrix(rows: TaskRows, x: Tensor, width: int = 1) -> TaskRows:
    """Return whose the rows are where all dimensions of x but the last ones are made one."""
    count = x.shape[: x.ndim - width].numel()
    return rows._replace(bounds=rows.bounds.times(count // max(len(rows.bounds), 1)))


def linear(x: Tensor, weight: Parameter, bias: Parameter | None = None) -> Tensor:
    """Compute x Wᵀ + b.

    Args:
        x: [n, ..., k].
        weight: [m, k].
        bias: [m]; None adds nothing.

    Returns:
        [n, ..., m], in the autocast dtype where autocast is on.
    """
    if x.ndim == 1:
        return linear(x[None], weight, bias)[0]
    rows = task_rows(x.shape[0], weight, bias, partly=True)
    trained = weight.requires_grad or (bias is not None and bias.requires_grad)
    if rows is None and trained and torch.is_grad_enabled():
        return F.linear(x, weight, bias)
    if x.ndim == 2:
        matrix = x
    else:
        matrix, rows = x.reshape(-1, x.shape[-1]), rows and _of_matrix(rows, x)
    result: Tensor = _Linear.apply(matrix, weight, bias, rows, current_matmul_policy())  # type: ignore[no-untyped-call]
    return result if x.ndim == 2 else result.view(*x.shape[:-1], -1)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Parameter, bias: Parameter | None, rows: TaskRows | None,
        matmul: MatmulPolicy,
    ) -> Tensor:  # fmt: skip
        ctx.parameters, ctx.rows, ctx.dtype = (weight, bias), rows, x.dtype
        ctx.matmul, dtype = matmul, compute_dtype(x)
        x, cast = x.to(dtype), weight.to(dtype)
        ctx.save_for_backward(x if rows is not None else None, cast)
        with torch.autocast(x.device.type, enabled=False):
            return matmul.affine(x, cast, None if bias is None else bias.to(dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, cast = ctx.saved_tensors
        weight, bias = ctx.parameters
        input_grad = None
        if ctx.rows is not None:
            step, bounds = ctx.rows
            _form(step).add_linear(
                step, weight, bias, bounds, bounds.ordered(grad), bounds.ordered(x), ctx.matmul
            )
        if ctx.needs_input_grad[0]:
            input_grad = ctx.matmul.mm(grad, cast).to(ctx.dtype)
        theirs = [_elsewhere(ctx, i) for i in (1, 2)]  # a parameter that no step collects
        weight_grad = ctx.matmul.mm(grad.t(), x).to(weight.dtype) if theirs[0] else None
        bias_grad = grad.sum(0).to(bias.dtype) if theirs[1] else None
        return input_grad, weight_grad, bias_grad, None, None


def _elsewhere(ctx: Any, place: int) -> bool:
    """Whether autograd wants the gradient of an operation's parameter, which no step collects."""
    return ctx.needs_input_grad[place] and not ctx.rows.step.owns(ctx.parameters[place - 1])


def layer_norm(
    x: Tensor, weight: Parameter, bias: Parameter | None = None, eps: float = 1e-5
) -> Tensor:
    """Normalise x over its last dimensions to mean 0 and variance 1, then scale and shift.

    Args:
        x: [n, ..., *shape].
        weight: of the shape that is normalised over.
        bias: of the same; None adds nothing.
        eps: added to the variance.

    Returns:
        As x, float32 under autocast too.
    """
    rows = task_rows(x.shape[0], weight, bias)
    if rows is None:
        return F.layer_norm(_widened(x, weight), weight.shape, weight, bias, eps)
    wide = x.ndim != 2 or weight.ndim != 1
    rows = _of_matrix(rows, x, weight.ndim) if wide else rows
    result: Tensor = _LayerNorm.apply(_widened(x, weight), weight, bias, eps, rows)  # type: ignore[no-untyped-call]
    return result


class _LayerNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Parameter, bias: Parameter | None, eps: float, rows: TaskRows
    ) -> Tensor:
        y, mean, rstd = torch.native_layer_norm(x, list(weight.shape), weight, bias, eps)
        ctx.save_for_backward(x, mean, rstd)
        ctx.parameters, ctx.rows = (weight, bias), rows
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        step, bounds = ctx.rows
        weight, bias = ctx.parameters
        shape = (len(bounds), *weight.shape)
        saved = zip((grad, *ctx.saved_tensors), (shape, shape, (-1, 1), (-1, 1)), strict=True)
        parts = [bounds.ordered(tensor.reshape(size)) for tensor, size in saved]
        input_grad = _form(step).add_norm(step, weight, bias, bounds, *parts)
        return bounds.restored(input_grad).view(grad.shape), None, None, None, None


def dropout_add_norm(
    x: Tensor, residual: Tensor, weight: Parameter, bias: Parameter | None, eps: float, p: float,
    key: DropoutKey | None, rounds: bool = False,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Compute `layer_norm(dropout_add(x, residual, p, key), weight, bias, eps)`.

    In one kernel each way where a GPU has it (`accord.kernels.fused`): without a step and without
    gradients, and in a step that takes them apart by tensors alone.

    Args:
        x: [n, ..., k].
        residual: of the same shape.
        weight: [k].
        bias: [k]; None adds nothing.
        eps: added to the variance.
        p: share of x's elements to drop.
        key: names the mask; None is evaluation.
        rounds: whether products follow, which take the result in autocast's dtype.

    Returns:
        The result, and what products are to take: the same tensor, or one that the kernel rounded.
    """
    rows = task_rows(x.shape[0], weight, bias)
    kernels = None
    if (rows is None and not differentiates()) or (rows is not None and rows.step.static):
        kernels = fused.kernels_for(x, residual, weight, bias)
    if kernels is None:
        y = layer_norm(dropout_add(x, residual, p, key), weight, bias, eps)
        return y, y
    keep = None if key is None or p == 0 else key.keep_mask(x.shape, p, x.device)
    dtype = compute_dtype(residual)
    second = dtype if rounds and dtype != residual.dtype else None
    if rows is None:
        summands = Summands(x, residual, keep, kept_scale(p))
        y, rounded, _ = kernels.forward(summands, Norm(weight, bias, eps), second, saves=False)
    else:
        form = _Fused(kernels, rows, keep, kept_scale(p), eps, second)
        y, rounded = _DropoutAddNorm.apply(x, residual, weight, bias, form)  # type: ignore[no-untyped-call]
    return y, y if rounded is None else rounded


def differentiates() -> bool:
    """Whether autograd or a step will ask for gradients of what is computed here."""
    return collects() or torch.is_grad_enabled()


class _Fused(NamedTuple):
    """How a fused norm is computed: by which kernels, for whom, its mask, eps and second dtype."""

    kernels: Kernels
    rows: TaskRows
    keep: Tensor | None
    scale: float
    eps: float
    second: torch.dtype | None


class _DropoutAddNorm(torch.autograd.Function):
    """Keeps the sum, its rows' means and deviations, and the mask."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, residual: Tensor, weight: Parameter, bias: Parameter | None,
        form: _Fused,
    ) -> tuple[Tensor, Tensor | None]:  # fmt: skip
        summands = Summands(x, residual, form.keep, form.scale)
        norm = Norm(weight, bias, form.eps)
        y, rounded, saved = form.kernels.forward(summands, norm, form.second)
        assert saved is not None
        ctx.save_for_backward(form.keep, *saved)
        ctx.form, ctx.parameters, ctx.dtype = form._replace(keep=None), (weight, bias), x.dtype
        ctx.set_materialize_grads(False)  # nothing may have used one of both
        return y, rounded

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad: Tensor | None, rounded_grad: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        keep, *saved = ctx.saved_tensors
        weight, bias = ctx.parameters
        step, bounds = ctx.form.rows
        grad = torch.zeros_like(saved[0]) if grad is None else grad
        residual_grad, x_grad, terms = ctx.form.kernels.backward(
            grad, rounded_grad, Saved(*saved), weight, keep, ctx.form.scale, ctx.dtype
        )
        by_tensors.add_norm_terms(step, weight, bias, bounds, bounds.ordered(terms))
        return x_grad, residual_grad, None, None, None


def _widened(x: Tensor, weight: Parameter) -> Tensor:
    """Return a norm's input in the weight's precision: float32 under autocast."""
    return x.to(torch.promote_types(x.dtype, weight.dtype))


def rms_norm(x: Tensor, weight: Parameter, eps: float | None = None) -> Tensor:
    """Divide x by its root mean square over the last dimensions, then scale.

    Args:
        x: [n, ..., *shape].
        weight: of the shape that is normalised over.
        eps: added to the mean square; None is the least that tells 1 from more.

    Returns:
        As x, float32 under autocast too.
    """
    y = _widened(x, weight)
    if task_rows(x.shape[0], weight) is None:
        return F.rms_norm(y, weight.shape, weight, eps)
    over, added = list(range(-weight.ndim, 0)), torch.finfo(y.dtype).eps if eps is None else eps
    return scale(y * (y.square().mean(over, keepdim=True) + added).rsqrt(), weight)


def scale(x: Tensor, weight: Parameter, bias: Parameter | None = None) -> Tensor:
    """Compute w ∘ x + b.

    Args:
        x: [n, ..., *shape].
        weight: of the shape of x's last dimensions.
        bias: of the same; None adds nothing.
    """
    rows = task_rows(x.shape[0], weight, bias)
    if rows is None:
        return x * weight if bias is None else x * weight + bias
    result: Tensor = _Scale.apply(x, weight, bias, _of_matrix(rows, x, weight.ndim))  # type: ignore[no-untyped-call]
    return result


class _Scale(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Parameter, bias: Parameter | None, rows: TaskRows
    ) -> Tensor:
        ctx.save_for_backward(x)
        ctx.parameters, ctx.rows = (weight, bias), rows
        return x * weight if bias is None else x * weight + bias

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        step, bounds = ctx.rows
        weight, bias = ctx.parameters
        shape = (len(bounds), *weight.shape)
        parts = [bounds.ordered(tensor.reshape(shape)) for tensor in (grad, *ctx.saved_tensors)]
        _form(step).add_scale(step, weight, bias, bounds, *parts)
        return (grad * weight if ctx.needs_input_grad[0] else None), None, None, None


def embedding(ids: Tensor, weight: Parameter, padding: int | None = None) -> Tensor:
    """Look rows of a table up.

    Args:
        ids: int64 [n, ...].
        weight: [V, H].
        padding: an id whose row has no gradient.

    Returns:
        [n, ..., H].
    """
    rows = task_rows(ids.shape[0], weight)
    if rows is None:
        return F.embedding(ids, weight, padding)
    result: Tensor = _Embedding.apply(ids, weight, padding, _of_matrix(rows, ids, 0))  # type: ignore[no-untyped-call]
    return result


class _Embedding(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, ids: Tensor, weight: Parameter, padding: int | None, rows: TaskRows
    ) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.weight, ctx.padding, ctx.rows = weight, padding, rows
        return F.embedding(ids, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, None, None, None]:
        step, bounds = ctx.rows
        ids = ctx.saved_tensors[0].flatten()
        grad = grad.reshape(len(ids), -1)
        if ctx.padding is not None:
            grad = grad * (ids != ctx.padding)[:, None]
        parts = bounds.ordered(grad), bounds.ordered(ids)
        _form(step).add_lookup(step, ctx.weight, bounds, *parts)
        return None, None, None, None
