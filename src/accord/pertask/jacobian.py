"""J: every task's gradient of the shared parameters, filled in by one backward pass.

Examples of different tasks never mix inside the network. The backward pass through the activations
is therefore the ordinary one; only the weight gradients differ, and each is taken from the rows of
its task alone. `accord.pertask.operations` holds the operations that do so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import Parameter

from accord.pertask.step import Slot, Step

_ALIGNMENT = 64  # elements: every parameter starts on its own cache lines


class Jacobian:
    """The matrix J [T, P] of T tasks' gradients of P shared parameters, float32.

    `begin` starts a step; only the step collects gradients, measures them and writes them. Memory
    is allocated once. With T = 1 the row of J *is* the gradient and nothing is copied. Without a
    trained parameter a step does nothing and has no Gram matrix.

    Args:
        parameters: the shared parameters; those that need no gradient are left out.
        embedding: the one among them, [V, H], that is indexed by ids; in the first group. It is
            kept for a step's own ids alone: J's other columns are zero.
        groups: how many of the parameters, in order, belong to each group that is to have a Gram
            matrix and weights of its own; they cover all of them. None is one group.
    """

    step_type = Step
    """What a step is."""

    def __init__(
        self,
        parameters: Iterable[Parameter],
        embedding: Parameter | None = None,
        groups: Sequence[Collection[Parameter]] | None = None,
    ) -> None:
        every = list(parameters)
        self._first = every[0] if every else None  # says where J is
        self.embedding = embedding if embedding is not None and embedding.requires_grad else None
        self.slots: dict[int, Slot] = {}
        offset = 0
        for parameter in every:
            if parameter.requires_grad and parameter is not embedding:
                self.slots[id(parameter)] = Slot(parameter, offset)
                offset += -(-max(parameter.numel(), 1) // _ALIGNMENT) * _ALIGNMENT
        self.width = offset
        self.columns = self._columns_of([every] if groups is None else groups)
        self.matrix = torch.empty(0, 0)
        self.stale: set[tuple[int, int]] = set()  # (offset, row) that holds an earlier step's
        self.step: Step | None = None
        self._combined: Tensor | None = None
        self._table: Tensor | None = None  # the embedding's .grad, zero outside _written
        self._written: Tensor | None = None

    @property
    def parameters(self) -> list[Parameter]:
        """The parameters that J has columns for, except for the embedding."""
        return [slot.parameter for slot in self.slots.values()]

    @property
    def is_empty(self) -> bool:
        """Whether nothing that is shared is trained."""
        return not self.slots and self.embedding is None

    def _columns_of(self, groups: Sequence[Collection[Parameter]]) -> list[tuple[int, int]]:
        """Return each group's (start, stop) among J's columns."""
        offsets = [*(slot.offset for slot in self.slots.values()), self.width]
        bounds, place = [], 0
        for group in groups:
            count = sum(id(parameter) in self.slots for parameter in group)
            bounds.append((offsets[place], offsets[place + count]))
            place += count
        if place != len(self.slots):
            raise ValueError(f"groups hold {place} of {len(self.slots)} parameters")
        return [] if self.is_empty else bounds

    def begin(self, rows: int | None, ids: Tensor | None = None, *, static: bool = False) -> Step:
        """Start a step; the one before is over.

        Args:
            rows: T, the tasks in this step; None collects one gradient, the sum over all tasks.
            ids: int64, all ids that the embedding is asked for in the step, in any shape, on the
                host; of a static step distinct ones, [U], on the embedding's device.
            static: take gradients apart by the bounds' tensors alone, in shapes that don't depend
                on where tasks end, for what is recorded once and run again.

        Raises:
            ValueError: no ids for an embedding.
        """
        count = 1 if rows is None else rows
        self.reserve(count)
        step = self.step_type(self, count, rows is None, static, self.device, ids)
        self.follow(step)
        return step

    @property
    def device(self) -> torch.device:
        """Where J is."""
        return torch.device("cpu") if self._first is None else self._first.device

    def reserve(self, rows: int) -> bool:
        """Make room for so many rows; return whether the matrix is another one now.

        A recording writes into the matrix that it was made with: all rows that a run asks for
        should be reserved before the first is made, and those of another matrix be dropped.
        """
        if len(self.matrix) >= rows:
            return False
        self.matrix = torch.zeros(rows, self.width, device=self.device)
        self.stale.clear()
        self.step = None
        return True

    def follow(self, step: Step) -> None:
        """Let a step follow the one before, whose gradients are an earlier step's from now on."""
        if self.step is not None:
            self.stale |= self.step.touched
        self.step = step

    def combined(self) -> Tensor:
        """Return room for one combination of J's rows, [width], the same each time."""
        if self._combined is None:
            self._combined = torch.empty_like(self.matrix[0])
        return self._combined

    def table_gradient(self, ids: Tensor, values: Tensor, static: bool = False) -> Tensor:
        """Return the embedding's gradient [V, H], which is zero except for some rows' values.

        Args:
            ids: int64 [U], distinct.
            values: [U, H].
            static: zero it whole: whoever records this can't tell what the step before wrote.
        """
        assert self.embedding is not None
        if self._table is None:
            self._table = torch.zeros_like(self.embedding)
        if static:
            self._table.zero_()
        elif self._written is not None:
            self._table.index_fill_(0, self._written, 0)
        return self.table_written(ids).index_copy_(0, ids, values)

    def table_written(self, ids: Tensor) -> Tensor:
        """Return the embedding's gradient, of which some ids' rows are written."""
        assert self._table is not None
        self._written = ids
        return self._table
