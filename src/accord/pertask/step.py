"""One step's J: what is collected in it, its Gram matrix, and the gradient that is made of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import Parameter

from accord.kernels.matmul import MatmulPolicy
from accord.pertask.bounds import DeviceBounds, TaskBounds, current_bounds
from accord.pertask.collecting import collected_by
from accord.pertask.table import EmbeddingRows
from accord.pertask.written import Written

if TYPE_CHECKING:
    from accord.pertask.jacobian import Jacobian

_NUMBERS = itertools.count()
_COLUMNS = 1 << 20  # of J that a method which needs it whole sees at a time
_CHUNK = 1 << 14  # columns of J in one float32 sum for the Gram matrix; T rows fit a cache


class Slot(NamedTuple):
    """A parameter's place among J's columns."""

    parameter: Parameter
    offset: int


class Step:
    """What `Jacobian.begin` returns: J during one step.

    Passes within `collecting` add to it, as many as a step has. Then `gramians` and a single
    `write`. A step that has written, or that another one followed, refuses.

    Attributes:
        rows: T.
        static: whether gradients are taken apart by the bounds' tensors alone.
        number: no other step has it.
    """

    def __init__(
        self, jacobian: Jacobian, rows: int, summed: bool, static: bool, device: torch.device,
        ids: Tensor | None,
    ) -> None:  # fmt: skip
        self.rows, self.static, self.number = rows, static, next(_NUMBERS)
        self.touched: set[tuple[int, int]] = set()  # (offset, row) written in this step
        self._jacobian, self._summed, self._device, self._written = jacobian, summed, device, False
        self._matrix = jacobian.matrix  # recorded passes go on writing there
        self._handed: list[tuple[Parameter, Tensor | None]] = []  # as `write` left them
        self._table: EmbeddingRows | None = None
        if jacobian.embedding is not None:
            if ids is None:
                raise ValueError("J has an embedding: a step has to know the ids it is asked for")
            table = EmbeddingRows.of_distinct if static else EmbeddingRows
            self._table = table(jacobian.embedding, rows, ids)

    def tensors(self) -> list[Tensor]:
        """Return what it holds beside J's matrix."""
        return [] if self._table is None else self._table.tensors()

    def again(self) -> None:
        """Be the step that is taken, once more: its recorded passes ran again, and wrote what they
        wrote when they were recorded."""
        self._jacobian.follow(self)
        self._written = False

    @contextmanager
    def collecting(self, bounds: TaskBounds | None = None) -> Iterator[None]:
        """Collect the gradients of the passes within a block, whenever they are taken back.

        Args:
            bounds: whose the activations' rows are; None where blocks inside say it.
        """
        self._check()
        with collected_by(self), nullcontext() if bounds is None else bounds.applied():
            yield

    def _check(self) -> Jacobian:
        """Return J while it is this step's.

        Raises:
            RuntimeError: after `write`, and after another step has begun.
        """
        if self._written or self._jacobian.step is not self:
            what = "has written its gradient" if self._written else "was followed by another"
            raise RuntimeError(f"this step {what}: Jacobian.begin starts one")
        return self._jacobian

    def owns(self, parameter: Parameter) -> bool:
        """Whether a parameter's gradient is collected here: not while it is frozen."""
        jacobian = self._jacobian
        known = id(parameter) in jacobian.slots or parameter is jacobian.embedding
        return known and parameter.requires_grad

    def bounds_of(self, rows: int) -> TaskBounds:
        """Return whose some rows are, by the block around.

        Raises:
            RuntimeError: if nothing was said, and J has more than one row.
            ValueError: it is for another number of rows, or names a row that J doesn't have.
        """
        if self._summed:
            if self.static:
                return DeviceBounds.of_one(0, rows, self._device)
            return TaskBounds((0,), (rows,))
        bounds = current_bounds()
        if bounds is None:
            raise RuntimeError("nothing says whose the rows of this activation are: TaskBounds")
        if len(bounds) != rows:
            raise ValueError(f"an activation of {rows} rows where tasks have {len(bounds)}")
        if max(bounds.rows, default=0) >= self.rows:
            raise ValueError(f"row {max(bounds.rows)} of a J of {self.rows}")
        return bounds if self.static else bounds.on_host()

    def table_of(self, parameter: Parameter) -> EmbeddingRows | None:
        """Return an embedding's part of J; None for other parameters."""
        self._check()
        return self._table if parameter is self._jacobian.embedding else None

    def add(self, parameter: Parameter, row: int, value: Tensor) -> None:
        """Add a task's gradient of a parameter.

        Args:
            parameter: one of the shared parameters; nothing happens if it is none, or frozen.
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

    def add_product(
        self, weight: Parameter, row: int, left: Tensor, right: Tensor, matmul: MatmulPolicy
    ) -> None:
        """Add a task's gradient of a weight [m, k], leftᵀ right, straight into J.

        Args:
            weight: nothing happens if it isn't collected here.
            row: of J.
            left: [n, m].
            right: [n, k].
            matmul: how it is multiplied.
        """
        if not self.owns(weight):
            return
        view, fresh = self._view(weight, row)
        if fresh:
            matmul.mm(left.t(), right, out=view)
        else:
            matmul.addmm(view, left.t(), right)

    def add_all(self, parameter: Parameter, rows: Sequence[int], values: Tensor) -> None:
        """Add several rows' gradients of a parameter at once.

        Args:
            parameter: as `add` takes it.
            rows: of J.
            values: `[len(rows), *shape]`.
        """
        slot = self._check().slots.get(id(parameter))
        rows = list(rows)
        follow = bool(rows) and rows == list(range(rows[0], rows[0] + len(rows)))
        fresh = {slot is not None and (slot.offset, row) not in self.touched for row in rows}
        if slot is None or not parameter.requires_grad or not follow or len(fresh) > 1:
            for row, value in zip(rows, values, strict=True):
                self.add(parameter, row, value)
            return
        columns = slice(slot.offset, slot.offset + parameter.numel())
        block = self._matrix[rows[0] : rows[-1] + 1, columns].view(values.shape)
        if fresh == {True}:
            block.copy_(values)
        else:
            block.add_(values)
        self.touched.update((slot.offset, row) for row in rows)

    def _view(self, parameter: Parameter, row: int) -> tuple[Tensor, bool]:
        """Return where a row's gradient stands, and whether nothing was written there yet."""
        table = self.table_of(parameter)
        if table is not None:
            table.check_complete()
            table.touched = True
            return table.values[row], False
        slot = self._jacobian.slots[id(parameter)]
        fresh = (slot.offset, row) not in self.touched
        self.touched.add((slot.offset, row))
        return self._part(slot, row), fresh

    def _part(self, slot: Slot, row: int) -> Tensor:
        parameter, offset = slot
        flat = self._matrix[row, offset : offset + parameter.numel()]
        return flat.view(parameter.shape)

    def gramian(self) -> Tensor:
        """Return G = J Jᵀ, float64 [T, T] on J's device, after the step's last backward pass."""
        return self.gramians().sum(0)

    def gramians(self) -> Tensor:
        """Return each group's Gram matrix, float64 [groups, T, T]: their sum is G."""
        jacobian = self._check()
        left = self._untouched() if self.static else jacobian.stale - self.touched
        for slot in jacobian.slots.values() if left else ():
            for row in range(len(self._matrix)):
                if (slot.offset, row) in left:
                    self._part(slot, row).zero_()
        jacobian.stale -= left
        parts = [
            _gramian(self._matrix[: self.rows, start:stop]) for start, stop in jacobian.columns
        ]
        if self._table is not None:
            parts[0] = parts[0] + _gramian(self._table.values.flatten(1))
        none = torch.zeros(0, self.rows, self.rows, dtype=torch.float64, device=self._device)
        return torch.stack(parts) if parts else none

    def _untouched(self) -> set[tuple[int, int]]:
        """Return what no pass of the step wrote: run again, it may hold anything."""
        slots = self._jacobian.slots.values()
        every = {(slot.offset, row) for slot in slots for row in range(self.rows)}
        return every - self.touched

    def dense(self) -> Tensor:
        """Return J as one matrix [T, P], parameters in order and the embedding last.

        For tests and analysis: training never needs it whole.
        """
        columns = [self._matrix_of(slot) for slot in self._check().slots.values()]
        if self._table is not None:
            table = torch.zeros(self.rows, *self._table.parameter.shape, device=self._device)
            columns.append(table.index_copy_(1, self._table.ids, self._table.values).flatten(1))
        return torch.cat(columns, dim=1) if columns else torch.zeros(self.rows, 0)

    def _matrix_of(self, slot: Slot) -> Tensor:
        rows = [self._part(slot, row).flatten() for row in range(self.rows)]
        present_rows = [(slot.offset, row) in self.touched for row in range(self.rows)]
        return torch.stack(
            [part * present for part, present in zip(rows, present_rows, strict=True)]
        )

    def write(self, weights: Tensor) -> Written:
        """Set every touched parameter's `.grad` to Σ_i w_i g_i; others get None.

        Args:
            weights: float [T], or [groups, T], on the host. The gradients live until the next
                `begin`.
        """
        jacobian = self._check()
        weights = weights if weights.ndim == 2 else weights[None]
        weights = weights.expand(max(len(jacobian.columns), 1), -1)
        words = None
        if jacobian.slots:
            self._hand_out(self._combine(weights))
        if self._table is not None:
            row_weights = weights[0].to(self._table.values, non_blocking=True)
            words = torch.einsum("t,tuh->uh", row_weights, self._table.values)
        return self._finish(words)

    def write_again(self) -> None:
        """Set `.grad` as `write` did that was recorded, after the recording ran."""
        jacobian = self._check()
        for parameter, handed in self._handed:
            parameter.grad = handed
        if self._table is not None:
            gradient = jacobian.table_written(self._table.ids)
            self._table.parameter.grad = gradient if self._table.touched else None
        self._written = True

    def write_by(self, combine: Callable[[Tensor], Tensor]) -> Written:
        """Set `.grad` as `write`, to what a function makes of J's columns.

        Args:
            combine: maps [T, n] to [n], column by column; called for some columns at a time.
        """
        jacobian, squares, words = self._check(), [], None
        if jacobian.slots:
            combined = jacobian.combined()
            for start in range(0, jacobian.width, _COLUMNS):
                stop = min(start + _COLUMNS, jacobian.width)
                combined[start:stop] = combine(self._matrix[: self.rows, start:stop])
            squares.append(combined.double().square().sum())
            self._hand_out(combined)
        if self._table is not None:
            words = combine(self._table.values.flatten(1)).view(self._table.values.shape[1:])
            squares.append(words.double().square().sum())
        norm = float(torch.stack(squares).sum().sqrt()) if squares else 0.0
        return self._finish(words, norm)

    def _hand_out(self, combined: Tensor) -> None:
        touched = {offset for offset, _ in self.touched}
        self._handed = []
        for parameter, offset in self._jacobian.slots.values():
            flat = combined[offset : offset + parameter.numel()]
            parameter.grad = flat.view(parameter.shape).to(parameter) if offset in touched else None
            self._handed.append((parameter, parameter.grad))

    def _combine(self, weights: Tensor) -> Tensor:
        jacobian = self._jacobian
        if self.rows == 1 and not self.static:
            row = self._matrix[0]
            for (start, stop), weight in zip(jacobian.columns, weights[:, 0].tolist(), strict=True):
                if weight != 1:
                    row[start:stop].mul_(weight)
            return row
        combined = jacobian.combined()
        row_weights = weights.to(self._matrix, non_blocking=True)
        for group, (start, stop) in enumerate(jacobian.columns):
            part = self._matrix[: self.rows, start:stop]
            torch.mv(part.t(), row_weights[group], out=combined[start:stop])
        return combined

    def _finish(self, words: Tensor | None, norm: float | None = None) -> Written:
        jacobian = self._jacobian
        parameters = jacobian.parameters
        if self._table is not None and words is not None:
            gradient = jacobian.table_gradient(self._table.ids, words, self.static)
            self._table.parameter.grad = gradient if self._table.touched else None
            parameters.append(self._table.parameter)
        self._written = True
        return Written([p.grad for p in parameters if p.grad is not None], norm)


def _gramian(part: Tensor) -> Tensor:
    """X Xᵀ of [T, n], float64: float32 over chunks of columns, and float64 over the chunks."""
    chunked = part.shape[1] // _CHUNK * _CHUNK
    chunks = part[:, :chunked].view(len(part), -1, _CHUNK).transpose(0, 1)
    rest = part[:, chunked:]
    return torch.bmm(chunks, chunks.mT).double().sum(0) + (rest @ rest.t()).double()
