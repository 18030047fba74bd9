"""J: every task's gradient of the shared parameters, filled in by one backward pass.

Examples of different tasks never mix inside the encoder. The backward pass through the
activations is therefore the ordinary one; only the weight gradients differ, and each is
taken from the rows of its task alone. `accord.pertask.operations` holds the operations that do so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn import functional as F

from accord.kernels.matmul import add_matmul, fits_groups, matmul

_ALIGNMENT = 64  # elements: every parameter starts on its own cache lines
_COLUMNS = 1 << 20  # of J that a method which needs it whole sees at a time
_CHUNK = 1 << 14  # columns of J in one float32 sum for the Gram matrix; T rows fit a cache


Bounds = tuple[tuple[int, int, int], ...]
"""(row of J, start, stop): which rows of an activation belong to which row of J."""


class TaskRows(NamedTuple):
    """The J in which an activation's gradients are collected, and whose rows are whose."""

    jacobian: Jacobian
    bounds: Bounds


class Jacobian:
    """The matrix J [T, P] of T tasks' gradients of P shared parameters, float32.

    A step goes `begin`, one or more backward passes (micro-batches add up), `gramian`,
    `write`. The word embeddings' part is kept for the step's own tokens alone: J's other
    columns are zero. With T = 1 the row of J *is* the gradient and nothing is copied.

    Args:
        parameters: the shared parameters; those that need no gradient are left out.
        embedding: the one among them, [V, H], that is indexed by token ids; in the first group.
        groups: how many of the parameters, in order, belong to each group that is to have a Gram
            matrix and weights of its own; they cover all of them. None is one group.
    """

    def __init__(
        self,
        parameters: Iterable[Parameter],
        embedding: Parameter | None = None,
        groups: Sequence[Collection[Parameter]] | None = None,
    ) -> None:
        parameters = list(parameters)
        self.embedding = embedding if embedding is not None and embedding.requires_grad else None
        self.parameters = [p for p in parameters if p.requires_grad and p is not embedding]
        self._slots = {id(parameter): i for i, parameter in enumerate(self.parameters)}
        self._offsets = [0]
        for parameter in self.parameters:
            blocks = -(-parameter.numel() // _ALIGNMENT)
            self._offsets.append(self._offsets[-1] + blocks * _ALIGNMENT)
        self.columns = self._columns_of([parameters] if groups is None else groups)
        self._matrix: Tensor | None = None
        self._combined: Tensor | None = None
        self._dense: Tensor | None = None  # the embedding's .grad, zero outside _written
        self._written: Tensor | None = None
        self._touched: set[tuple[int, int]] = set()  # (slot, row) written in this step
        self._stale: set[tuple[int, int]] = set()  # (slot, row) that holds an earlier step's
        self._ends: dict[Bounds, Tensor] = {}  # the tasks' ends on the device, of this step
        self.rows = 0

    def _columns_of(self, groups: Sequence[Collection[Parameter]]) -> list[tuple[int, int]]:
        """Return each group's (start, stop) among J's columns."""
        bounds, slot = [], 0
        for group in groups:
            count = sum(id(parameter) in self._slots for parameter in group)
            bounds.append((self._offsets[slot], self._offsets[slot + count]))
            slot += count
        if slot != len(self.parameters):
            raise ValueError(f"groups hold {slot} of {len(self.parameters)} parameters")
        return bounds

    def begin(self, rows: int, token_ids: Tensor) -> None:
        """Start a step.

        Args:
            rows: T, the number of tasks in this step.
            token_ids: int64, all token ids of the step, in any shape, on the host.
        """
        device = self._device()
        if self._matrix is None or self._matrix.shape[0] < rows:
            self._matrix = torch.zeros(rows, self._offsets[-1], device=device)
            self._stale.clear()
        self._stale |= self._touched
        self._touched.clear()
        self.rows = rows
        self._ends.clear()
        if self.embedding is not None:
            self._ids = torch.unique(token_ids).to(device)
            shape = (rows, len(self._ids), self.embedding.shape[1])
            self._compact = torch.zeros(shape, device=device)
            self._embedded = False

    def _device(self) -> torch.device:
        first = self.parameters[0] if self.embedding is None else self.embedding
        return first.device

    def tasks(self, bounds: Sequence[tuple[int, int]]) -> TaskRows:
        """Name the rows of each task: (start, stop) for every row of J, in order.

        With a single row of J all rows are its own, whatever the bounds.
        """
        if self.rows == 1:
            return TaskRows(self, ((0, bounds[0][0], bounds[-1][1]),))
        parts = ((row, start, stop) for row, (start, stop) in enumerate(bounds))
        return TaskRows(self, tuple(part for part in parts if part[1] < part[2]))

    def task(self, row: int, count: int) -> TaskRows:
        """Say that all `count` rows of an activation are one task's."""
        return TaskRows(self, ((0 if self.rows == 1 else row, 0, count),))

    def owns(self, parameter: Parameter) -> bool:
        """Whether a parameter's gradient is collected here: not while it is frozen."""
        known = id(parameter) in self._slots or parameter is self.embedding
        return known and parameter.requires_grad

    def add(self, parameter: Parameter, row: int, value: Tensor) -> None:
        """Add a task's gradient of a parameter.

        Args:
            parameter: one of the shared parameters.
            row: of J.
            value: of the parameter's shape.
        """
        if not self.owns(parameter):
            return  # frozen beside one that is not
        view, fresh = self._view(parameter, row)
        if fresh:
            view.copy_(value)
        else:
            view.add_(value)

    def add_linear(
        self, weight: Parameter, bias: Parameter, bounds: Bounds, grad: Tensor, x: Tensor
    ) -> None:
        """Add each task's gradients of x Wᵀ + b, straight into J.

        Args:
            weight: W [m, k].
            bias: b [m].
            bounds: whose the rows of x are.
            grad: of the output, [n, m].
            x: [n, k].
        """
        grouped = self._add_grouped(weight, bounds, grad, x)
        for row, start, stop in bounds:
            part = grad[start:stop]
            self.add(bias, row, part.sum(0))  # added up in float32, whatever grad's dtype
            if grouped or not self.owns(weight):
                continue
            view, fresh = self._view(weight, row)
            if fresh:
                matmul(part.t(), x[start:stop], out=view)
            else:
                add_matmul(view, part.t(), x[start:stop])

    def _add_grouped(self, weight: Parameter, bounds: Bounds, grad: Tensor, x: Tensor) -> bool:
        """Add all tasks' gradients of a weight by one grouped product, where that can be done."""
        slot, rows = self._slots.get(id(weight)), [row for row, _, _ in bounds]
        if slot is None or not weight.requires_grad:
            return False
        if len(rows) == 1 or rows != list(range(rows[0], rows[0] + len(rows))):
            return False
        touched = {(slot, row) in self._touched for row in rows}
        if len(touched) > 1 or not fits_groups(grad, x, bounds):
            return False
        if bounds not in self._ends:
            stops = [stop for _, _, stop in bounds]
            self._ends[bounds] = torch.tensor(stops, dtype=torch.int32).to(grad.device)
        assert self._matrix is not None  # begin() comes first
        offset = self._offsets[slot]
        block = self._matrix[rows[0] : rows[-1] + 1, offset : offset + weight.numel()]
        view = block.view(len(rows), *weight.shape)
        gradients = F.grouped_mm(grad.t(), x, offs=self._ends[bounds])
        if touched == {True}:
            view.add_(gradients)
        else:
            view.copy_(gradients)
        self._touched.update((slot, row) for row in rows)
        return True

    def add_embedding(self, row: int, token_ids: Tensor, value: Tensor) -> None:
        """Add a task's gradient of the embedding table.

        Args:
            row: of J.
            token_ids: int64 [n], each among the ids given to `begin`.
            value: [n, H].
        """
        self._compact[row].index_add_(0, torch.searchsorted(self._ids, token_ids), value)
        self._embedded = True

    def add_table(self, row: int, grad: Tensor, x: Tensor) -> None:
        """Add a task's gradient of the embedding table as the weight of a product, gradᵀ x.

        Args:
            row: of J.
            grad: of x Wᵀ, [n, V].
            x: [n, H].

        Raises:
            ValueError: if `begin` was not given every id.
        """
        if len(self._ids) != grad.shape[1]:
            raise ValueError(f"J has {len(self._ids)} words of {grad.shape[1]}")
        add_matmul(self._compact[row], grad.t(), x)
        self._embedded = True

    def _view(self, parameter: Parameter, row: int) -> tuple[Tensor, bool]:
        slot = self._slots[id(parameter)]
        fresh = (slot, row) not in self._touched
        self._touched.add((slot, row))
        return self._part(slot, row), fresh

    def _part(self, slot: int, row: int) -> Tensor:
        assert self._matrix is not None  # begin() comes first
        parameter, offset = self.parameters[slot], self._offsets[slot]
        return self._matrix[row, offset : offset + parameter.numel()].view(parameter.shape)

    def gramian(self) -> Tensor:
        """Return G = J Jᵀ, float64 [T, T] on J's device, after the step's last backward pass."""
        return self.gramians().sum(0)

    def gramians(self) -> Tensor:
        """Return each group's Gram matrix, float64 [groups, T, T]: their sum is G."""
        assert self._matrix is not None  # begin() comes first
        for slot, row in self._stale - self._touched:
            self._part(slot, row).zero_()
        self._stale = self._stale & self._touched
        parts = [_gramian(self._matrix[: self.rows, start:stop]) for start, stop in self.columns]
        if self.embedding is not None:
            parts[0] = parts[0] + _gramian(self._compact.flatten(1))
        return torch.stack(parts)

    def dense(self) -> Tensor:
        """Return J as one matrix [T, P], parameters in order and the embedding last.

        For tests and analysis: training never needs it whole.
        """
        columns = [self._matrix_of(slot) for slot in range(len(self.parameters))]
        if self.embedding is not None:
            table = torch.zeros(self.rows, *self.embedding.shape, device=self._compact.device)
            columns.append(table.index_copy_(1, self._ids, self._compact).flatten(1))
        return torch.cat(columns, dim=1)

    def _matrix_of(self, slot: int) -> Tensor:
        rows = [self._part(slot, row).flatten() for row in range(self.rows)]
        return torch.stack([part * ((slot, row) in self._touched) for row, part in enumerate(rows)])

    def write(self, weights: Tensor) -> None:
        """Set every touched parameter's `.grad` to Σ_i w_i g_i; others keep None.

        Args:
            weights: float [T], or [groups, T], on the host. The gradients live until the next
                `begin`.
        """
        weights = (weights if weights.ndim == 2 else weights[None]).expand(len(self.columns), -1)
        self._hand_out(self._combine(weights))
        if self.embedding is not None:
            own = weights[0].to(self._compact)
            self._write_embedding(torch.einsum("t,tuh->uh", own, self._compact))

    def write_by(self, combine: Callable[[Tensor], Tensor]) -> float:
        """Set `.grad` as `write`, to what a function makes of J's columns; return its norm.

        Args:
            combine: maps [T, n] to [n], column by column; called for some columns at a time.
        """
        assert self._matrix is not None  # begin() comes first
        if self._combined is None:
            self._combined = torch.empty_like(self._matrix[0])
        for start in range(0, self._offsets[-1], _COLUMNS):
            stop = min(start + _COLUMNS, self._offsets[-1])
            self._combined[start:stop] = combine(self._matrix[: self.rows, start:stop])
        square = self._combined.double().square().sum()
        self._hand_out(self._combined)
        if self.embedding is not None:
            values = combine(self._compact.flatten(1)).view(self._compact.shape[1:])
            square = square + values.double().square().sum()
            self._write_embedding(values)
        return float(square.sqrt())

    def scale(self, factor: float) -> None:
        """Multiply what was written by a number."""
        if gradients := self._written_gradients():
            torch._foreach_mul_(gradients, factor)

    def norm(self) -> float:
        """Return the norm of what was written, measured."""
        gradients = self._written_gradients()
        return float(torch.stack(torch._foreach_norm(gradients)).double().norm())

    def _written_gradients(self) -> list[Tensor]:
        parameters = [*self.parameters, *([] if self.embedding is None else [self.embedding])]
        return [p.grad for p in parameters if p.grad is not None]

    def _hand_out(self, combined: Tensor) -> None:
        touched = {slot for slot, _ in self._touched}
        for slot, parameter in enumerate(self.parameters):
            offset = self._offsets[slot]
            flat = combined[offset : offset + parameter.numel()]
            parameter.grad = flat.view(parameter.shape) if slot in touched else None

    def _combine(self, weights: Tensor) -> Tensor:
        assert self._matrix is not None  # begin() comes first
        if self.rows == 1:
            row = self._matrix[0]
            for (start, stop), weight in zip(self.columns, weights[:, 0].tolist(), strict=True):
                if weight != 1:
                    row[start:stop].mul_(weight)
            return row
        if self._combined is None:
            self._combined = torch.empty_like(self._matrix[0])
        own = weights.to(self._matrix)
        for group, (start, stop) in enumerate(self.columns):
            part = self._matrix[: self.rows, start:stop]
            torch.mv(part.t(), own[group], out=self._combined[start:stop])
        return self._combined

    def _write_embedding(self, values: Tensor) -> None:
        assert self.embedding is not None
        if self._dense is None:
            self._dense = torch.zeros_like(self.embedding)
        if self._written is not None:
            self._dense.index_fill_(0, self._written, 0)
        self._written = self._ids
        self._dense.index_copy_(0, self._ids, values)
        self.embedding.grad = self._dense if self._embedded else None


def _gramian(part: Tensor) -> Tensor:
    """X Xᵀ of [T, n], float64: float32 over chunks of columns, and float64 over the chunks."""
    whole = part.shape[1] // _CHUNK * _CHUNK
    chunks = part[:, :whole].view(len(part), -1, _CHUNK).transpose(0, 1)
    rest = part[:, whole:]
    return torch.bmm(chunks, chunks.mT).double().sum(0) + (rest @ rest.t()).double()
