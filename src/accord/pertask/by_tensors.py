"""Tasks' weight gradients by the bounds' tensors alone: no shape depends on where a task ends.

A step that is recorded once and run again, as a GPU's is, needs these: where tasks end is data to
it. The functions are those of `accord.pertask.by_offsets`, and say the same.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import Parameter

from accord.kernels.matmul import MatmulPolicy, grouped_matmul
from accord.pertask.bounds import TaskBounds
from accord.pertask.step import Step


def add_linear(
    step: Step, weight: Parameter, bias: Parameter | None, bounds: TaskBounds, grad: Tensor,
    x: Tensor, matmul: MatmulPolicy,
) -> None:  # fmt: skip
    """Add the gradients of x Wᵀ + b: of W [m, k] and b [m], from grad [n, m] and x [n, k]."""
    add_sums(step, bias, bounds, grad)
    if step.owns(weight):
        hot, ends = bounds.hot_on(grad.device), bounds.ends_on(grad.device)
        left, right = matmul.operand(grad), matmul.operand(x)
        step.add_all(weight, bounds.rows, grouped_matmul(left, right, ends, hot))


def add_scale(
    step: Step, weight: Parameter | None, bias: Parameter | None, bounds: TaskBounds, grad: Tensor,
    x: Tensor,
) -> None:  # fmt: skip
    """Add the gradients of w ∘ x + b: of w and b [k], from grad and x [n, k]."""
    add_sums(step, weight, bounds, grad * x)
    add_sums(step, bias, bounds, grad)


def add_norm(
    step: Step, weight: Parameter, bias: Parameter | None, bounds: TaskBounds, grad: Tensor,
    x: Tensor, mean: Tensor, rstd: Tensor,
) -> Tensor:  # fmt: skip
    """Add the gradients of a layer norm's w and b [k]; return the gradient of x [n, k]."""
    normalised = ((x.flatten(1) - mean) * rstd).view_as(x)
    add_scale(step, weight, bias, bounds, grad, normalised)
    input_grad: Tensor = torch.ops.aten.native_layer_norm_backward(
        grad.contiguous(), x, list(weight.shape), mean, rstd, weight, bias, [True, False, False]
    )[0]
    return input_grad


def add_norm_terms(
    step: Step, weight: Parameter, bias: Parameter | None, bounds: TaskBounds, terms: Tensor
) -> None:
    """Add the gradients of a norm's w and b [k], from each row's part in both, float32 [n, 2k]."""
    if step.owns(weight) or (bias is not None and step.owns(bias)):
        sums = bounds.hot_on(terms.device) @ terms
        for parameter, values in zip((weight, bias), sums.chunk(2, 1), strict=True):
            if parameter is not None:
                step.add_all(parameter, bounds.rows, values)


def add_lookup(
    step: Step, weight: Parameter, bounds: TaskBounds, grad: Tensor, ids: Tensor
) -> None:
    """Add the gradients of a table [V, H] that rows are looked up in, from grad [n, H]."""
    table = step.table_of(weight)
    size = len(weight) if table is None else len(table.ids)
    places = ids if table is None else table.place(ids)
    flat = grad.new_zeros(len(bounds.rows) * size, grad.shape[1])
    flat.index_add_(0, bounds.group_on(grad.device) * size + places, grad)
    values = flat.view(len(bounds.rows), size, -1)
    if table is None:
        step.add_all(weight, bounds.rows, values)
    else:
        table.values.index_add_(0, bounds.rows_on(grad.device), values.to(table.values))
        table.touched = True


def add_sums(step: Step, parameter: Parameter | None, bounds: TaskBounds, x: Tensor) -> None:
    """Add each task's sum of rows as its gradient of a parameter that is added to every row, by a
    product with ones where a row is a task's."""
    if parameter is not None and step.owns(parameter):
        sums = bounds.hot_on(x.device) @ x.float().flatten(1)
        step.add_all(parameter, bounds.rows, sums.view(-1, *parameter.shape))
