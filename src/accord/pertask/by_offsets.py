"""Tasks' weight gradients from slices of rows, whose places the host knows: one product per task.

Each function adds the gradients of one operation to J. Rows of `grad` and `x` stand in the order of
`bounds`, and each is a matrix. `accord.pertask.by_tensors` says the same without offsets.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn import functional as F

from accord.kernels.matmul import MatmulPolicy, fits_groups
from accord.pertask.bounds import TaskBounds
from accord.pertask.step import Step


def add_linear(
    step: Step, weight: Parameter, bias: Parameter | None, bounds: TaskBounds, grad: Tensor,
    x: Tensor, matmul: MatmulPolicy,
) -> None:  # fmt: skip
    """Add the gradients of x Wᵀ + b: of W [m, k] and b [m], from grad [n, m] and x [n, k]."""
    grouped = _add_grouped(step, weight, bounds, grad, x)
    for row, start, stop in bounds.groups:
        part = grad[start:stop]
        if bias is not None:
            step.add(bias, row, part.sum(0))  # added up in float32, whatever grad's dtype
        if not grouped:
            step.add_product(weight, row, part, x[start:stop], matmul)


def _add_grouped(
    step: Step, weight: Parameter, bounds: TaskBounds, grad: Tensor, x: Tensor
) -> bool:
    """Add all tasks' gradients of a weight by one grouped product, where that can be done."""
    rows = [row for row, _, _ in bounds.groups]
    if len(rows) < 2 or not step.owns(weight) or step.table_of(weight) is not None:
        return False
    if not fits_groups(grad, x, bounds.groups):
        return False
    ends = bounds.ends_of_groups(grad.device)
    step.add_all(weight, rows, F.grouped_mm(grad.contiguous().t(), x.contiguous(), offs=ends))
    return True


def add_scale(
    step: Step, weight: Parameter | None, bias: Parameter | None, bounds: TaskBounds, grad: Tensor,
    x: Tensor,
) -> None:  # fmt: skip
    """Add the gradients of w ∘ x + b: of w and b [k], from grad and x [n, k]."""
    for row, start, stop in bounds.groups:
        part = grad[start:stop]
        if weight is not None:
            step.add(weight, row, (part * x[start:stop]).sum(0))
        if bias is not None:
            step.add(bias, row, part.sum(0))


def add_norm(
    step: Step, weight: Parameter, bias: Parameter | None, bounds: TaskBounds, grad: Tensor,
    x: Tensor, mean: Tensor, rstd: Tensor,
) -> Tensor:  # fmt: skip
    """Add the gradients of a layer norm's w and b [k]; return the gradient of x [n, k].

    Args:
        step: collects them.
        weight: w.
        bias: b.
        bounds: whose the rows are.
        grad: of the output, [n, k].
        x: the input, [n, k].
        mean: of each row, [n, 1].
        rstd: 1 over each row's deviation, [n, 1].
    """
    parts = []
    for row, start, stop in bounds.groups:
        part = slice(start, stop)
        input_grad, weight_grad, bias_grad = torch.ops.aten.native_layer_norm_backward(
            grad[part].contiguous(), x[part], list(weight.shape), mean[part], rstd[part],
            weight, bias, [True, True, bias is not None],
        )  # fmt: skip
        step.add(weight, row, weight_grad)
        if bias is not None:
            step.add(bias, row, bias_grad)
        parts.append(input_grad)
    if not parts:
        return torch.zeros_like(x)
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def add_lookup(
    step: Step, weight: Parameter, bounds: TaskBounds, grad: Tensor, ids: Tensor
) -> None:
    """Add the gradients of a table [V, H] that rows are looked up in, from grad [n, H]."""
    table = step.table_of(weight)
    for row, start, stop in bounds.groups:
        part, part_ids = grad[start:stop], ids[start:stop]
        if table is None:
            step.add(weight, row, torch.zeros_like(weight).index_add_(0, part_ids, part))
        else:
            table.values[row].index_add_(0, table.place(part_ids), part.to(table.values))
            table.touched = True
