"""The encoder's differentiable operations, whose weight gradients are kept apart by task.

Each takes `rows`: which rows of its input belong to which task. Without it, it is torch's
own operation; with it, the backward pass returns the ordinary gradient of the input, and
adds each task's weight gradient to J instead of summing them into `.grad`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import Parameter
from torch.nn import functional as F

from accord.kernels.matmul import affine, compute_dtype, matmul
from accord.pertask.jacobian import TaskRows


def linear(x: Tensor, weight: Parameter, bias: Parameter, rows: TaskRows | None) -> Tensor:
    """Compute x Wᵀ + b.

    Args:
        x: [n, k].
        weight: [m, k].
        bias: [m].
        rows: the tasks' rows of x; None for torch's own gradient.

    Returns:
        [n, m], in the autocast dtype where autocast is on.
    """
    collected = collects(rows, weight, bias)
    trained = weight.requires_grad or bias.requires_grad
    if not collected and trained and torch.is_grad_enabled():
        return F.linear(x, weight, bias)
    result: Tensor = _Linear.apply(x, weight, bias, rows if collected else None)  # type: ignore[no-untyped-call]
    return result


def collects(rows: TaskRows | None, *parameters: Parameter) -> bool:
    """Whether the gradient of any of the parameters goes into J."""
    return rows is not None and any(rows.jacobian.owns(own) for own in parameters)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Parameter, bias: Parameter, rows: TaskRows | None
    ) -> Tensor:
        ctx.parameters, ctx.rows, ctx.dtype = (weight, bias), rows, x.dtype
        dtype = compute_dtype(x)
        x, cast = x.to(dtype), weight.to(dtype)
        ctx.save_for_backward(x if rows is not None else None, cast)
        with torch.autocast(x.device.type, enabled=False):
            return affine(x, cast, bias.to(dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        if ctx.rows is not None:
            jacobian, bounds = ctx.rows
            jacobian.add_linear(*ctx.parameters, bounds, grad, x)
        input_grad = matmul(grad, weight).to(ctx.dtype) if ctx.needs_input_grad[0] else None
        return input_grad, None, None, None


def layer_norm(
    x: Tensor, weight: Parameter, bias: Parameter, eps: float, rows: TaskRows | None
) -> Tensor:
    """Normalise each row of x [n, H] to mean 0 and variance 1, then scale and shift.

    Args:
        x: [n, H].
        weight: [H].
        bias: [H].
        eps: added to the variance.
        rows: the tasks' rows of x; None for torch's own gradient.

    Returns:
        [n, H], float32 under autocast too.
    """
    if not collects(rows, weight, bias):
        return F.layer_norm(x.float(), weight.shape, weight, bias, eps)
    result: Tensor = _LayerNorm.apply(x.float(), weight, bias, eps, rows)  # type: ignore[no-untyped-call]
    return result


class _LayerNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Parameter, bias: Parameter, eps: float, rows: TaskRows
    ) -> Tensor:
        y, mean, rstd = torch.native_layer_norm(x, list(weight.shape), weight, bias, eps)
        ctx.save_for_backward(x, mean, rstd)
        ctx.parameters, ctx.rows = (weight, bias), rows
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, mean, rstd = ctx.saved_tensors
        weight, bias = ctx.parameters
        jacobian, bounds = ctx.rows
        parts = []
        for row, start, stop in bounds:
            part = slice(start, stop)
            input_grad, weight_grad, bias_grad = torch.ops.aten.native_layer_norm_backward(
                grad[part].contiguous(), x[part], list(weight.shape), mean[part], rstd[part],
                weight, bias, [True, True, True],
            )  # fmt: skip
            jacobian.add(weight, row, weight_grad)
            jacobian.add(bias, row, bias_grad)
            parts.append(input_grad)
        return parts[0] if len(parts) == 1 else torch.cat(parts), None, None, None, None


def embedding(ids: Tensor, weight: Parameter, rows: TaskRows | None) -> Tensor:
    """Look rows of a table up.

    Args:
        ids: int64 [n].
        weight: [V, H].
        rows: the tasks' rows of ids; None for torch's own gradient.

    Returns:
        [n, H].
    """
    if not collects(rows, weight):
        return F.embedding(ids, weight)
    result: Tensor = _Embedding.apply(ids, weight, rows)  # type: ignore[no-untyped-call]
    return result


class _Embedding(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, ids: Tensor, weight: Parameter, rows: TaskRows) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.weight, ctx.rows = weight, rows
        return F.embedding(ids, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, None, None]:
        (ids,) = ctx.saved_tensors
        jacobian, bounds = ctx.rows
        for row, start, stop in bounds:
            part, part_ids = grad[start:stop], ids[start:stop]
            if ctx.weight is jacobian.embedding:
                jacobian.add_embedding(row, part_ids, part)
            else:
                table = torch.zeros_like(ctx.weight).index_add_(0, part_ids, part)
                jacobian.add(ctx.weight, row, table)
        return None, None, None


def word_logits(x: Tensor, table: Parameter, bias: Tensor, rows: TaskRows | None) -> Tensor:
    """Compute x Wᵀ + b, where W is the table that `embedding` looks words up in.

    Args:
        x: [n, H].
        table: [V, H].
        bias: [V], a task's own: its gradient is autograd's.
        rows: the tasks' rows of x; None for torch's own gradient.

    Returns:
        [n, V].
    """
    if not collects(rows, table):
        return F.linear(x, table, bias)
    result: Tensor = _WordLogits.apply(x, table, bias, rows)  # type: ignore[no-untyped-call]
    return result


class _WordLogits(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, table: Parameter, bias: Tensor, rows: TaskRows) -> Tensor:
        ctx.save_for_backward(x)
        ctx.table, ctx.rows = table, rows
        return affine(x, table, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        jacobian, bounds = ctx.rows
        for row, start, stop in bounds:
            jacobian.add_table(row, grad[start:stop], x[start:stop])
        return matmul(grad, ctx.table.detach()), None, grad.sum(0), None
