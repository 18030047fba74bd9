"""Whose the rows of an activation are: which of them belong to which row of J.

One value holds it twice: as integers on the host, and as a small tensor on the device, made when it
is first asked for. What takes the tensor alone has the same shapes wherever tasks end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, pairwise

import torch
from torch import Tensor

Group = tuple[int, int, int]
"""(row of J, start, stop)."""


@dataclass(frozen=True, eq=False)
class TaskBounds:
    """Groups of rows that follow one another and are all rows of an activation.

    Attributes:
        rows: the row of J that each group's gradients go to; several may share one.
        ends: where each group stops; it starts where the one before does.
        order: int64 [n], the activation's rows in the groups' order; None where they stand in it.
    """

    rows: tuple[int, ...]
    ends: tuple[int, ...]
    order: Tensor | None = None
    _on: dict[tuple[str, torch.device], Tensor] = field(default_factory=dict, repr=False)
    _times: dict[int, TaskBounds] = field(default_factory=dict, repr=False)

    @classmethod
    def of_counts(cls, counts: Sequence[int], rows: Sequence[int] | None = None) -> TaskBounds:
        """Say how many rows each group has; its row of J is its place, unless `rows` says which.

        Example:
            >>> TaskBounds.of_counts([3, 0, 2]).groups
            ((0, 0, 3), (2, 3, 5))
        """
        named = range(len(counts)) if rows is None else rows
        if len(named) != len(counts) or min([*counts, *named], default=0) < 0:
            raise ValueError(f"{len(counts)} counts and rows {tuple(named)}: none may be negative")
        return cls(tuple(named), tuple(accumulate(counts)))

    @classmethod
    def of_index(cls, index: Tensor | Sequence[int]) -> TaskBounds:
        """Say of each row of an activation, in any order, to which row of J it belongs.

        Example:
            >>> TaskBounds.of_index([1, 0, 1]).order.tolist()
            [1, 0, 2]
        """
        index = torch.as_tensor(index, dtype=torch.int64)
        host = index.cpu()
        if host.ndim != 1 or bool((host < 0).any()):
            raise ValueError(f"an index is [n], of rows of J from 0; got {list(host.shape)}")
        order = torch.argsort(host, stable=True).to(index.device)
        counts = torch.bincount(host).tolist()
        return cls(tuple(range(len(counts))), tuple(accumulate(counts)), order)

    def __len__(self) -> int:
        """Return how many rows the activation has."""
        return self.ends[-1] if self.ends else 0

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """How many rows each group has."""
        return tuple(stop - start for start, stop in pairwise((0, *self.ends)))

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The groups that have rows; neighbours of one row of J are one."""
        groups: list[Group] = []
        for row, (start, stop) in zip(self.rows, pairwise((0, *self.ends)), strict=True):
            if start == stop:
                continue
            joins = bool(groups) and groups[-1][0] == row
            groups.append((row, groups.pop()[1] if joins else start, stop))
        return tuple(groups)

    def ends_on(self, device: torch.device) -> Tensor:
        """Return where each group ends, int32 [T], on a device."""
        return self._kept("ends", device, lambda: torch.tensor(self.ends, dtype=torch.int32))

    def ends_of_groups(self, device: torch.device) -> Tensor:
        """Return where each of `groups` ends, int32, on a device."""
        stops = [stop for _, _, stop in self.groups]
        return self._kept("stops", device, lambda: torch.tensor(stops, dtype=torch.int32))

    def rows_on(self, device: torch.device) -> Tensor:
        """Return each group's row of J, int64 [T], on a device."""
        return self._kept("rows", device, lambda: torch.tensor(self.rows))

    def group_on(self, device: torch.device) -> Tensor:
        """Return the group of each row, int64 [n], from the ends on the device alone."""
        ends = self.ends_on(device)
        rows = torch.arange(len(self), dtype=torch.int32, device=device)
        return self._kept("group", device, lambda: torch.bucketize(rows, ends, right=True))

    def hot_on(self, device: torch.device) -> Tensor:
        """Return float32 [T, n], 1 where a row belongs to a group, from the ends alone."""

        def hot() -> Tensor:
            groups = torch.arange(len(self.rows), device=device)[:, None]
            return (self.group_on(device) == groups).float()

        return self._kept("hot", device, hot)

    def _kept(self, name: str, device: torch.device, make: Callable[[], Tensor]) -> Tensor:
        if (name, device) not in self._on:
            self._on[name, device] = make().to(device, non_blocking=True)
        return self._on[name, device]

    def times(self, count: int) -> TaskBounds:
        """Return the bounds of an activation that has `count` rows for each of these."""
        if count == 1:
            return self
        if count not in self._times:
            order = self.order
            if order is not None:
                parts = torch.arange(count, device=order.device)
                order = (order[:, None] * count + parts).flatten()
            ends = tuple(end * count for end in self.ends)
            self._times[count] = TaskBounds(self.rows, ends, order)
        return self._times[count]

    def on_host(self) -> TaskBounds:
        """Return the same bounds with ends that the host knows."""
        return self

    def by_blocks(self, rows: int) -> TaskBounds | None:
        """Return the bounds of blocks of so many rows, the last of which may be shorter; None where
        some block would hold rows of two groups."""
        if self.order is not None or any(end % rows for end in self.ends[:-1]):
            return None
        return TaskBounds(self.rows, tuple(-(-end // rows) for end in self.ends))

    def ordered(self, x: Tensor) -> Tensor:
        """Return an activation's rows in the groups' order."""
        return x if self.order is None else x.index_select(0, self.order.to(x.device))

    def restored(self, x: Tensor) -> Tensor:
        """Return what `ordered` gave in the activation's order."""
        if self.order is None:
            return x
        return torch.empty_like(x).index_copy_(0, self.order.to(x.device), x)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Say within a block that activations' rows are these."""
        token = _CURRENT.set(self)
        try:
            yield
        finally:
            _CURRENT.reset(token)


@dataclass(frozen=True, eq=False)
class DeviceBounds(TaskBounds):
    """Bounds whose ends the device alone knows, for shapes that don't depend on them.

    Nothing goes from the host to the device, or back, for what is asked of them. `ends` is empty.

    Attributes:
        device_ends: int32 [T], where each group stops.
        size: rows of the activation.
        multiple: of which all ends but the last are known to be; 0 where there is no other.
    """

    device_ends: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int32))
    size: int = 0
    multiple: int = 1
    _blocks: dict[int, DeviceBounds] = field(default_factory=dict, repr=False)

    @classmethod
    def of_ends(
        cls, rows: Sequence[int], ends: Tensor, size: int, multiple: int = 1
    ) -> DeviceBounds:
        """Say where groups end that go to certain rows of J."""
        return cls(tuple(rows), (), device_ends=ends, size=size, multiple=multiple)

    @classmethod
    def of_one(cls, row: int, size: int, device: torch.device) -> DeviceBounds:
        """Say that all rows of an activation go to one row of J."""
        ends = torch.full((1,), size, dtype=torch.int32, device=device)
        return cls((row,), (), device_ends=ends, size=size, multiple=0)

    def __len__(self) -> int:
        """Return how many rows the activation has."""
        return self.size

    @property
    def counts(self) -> tuple[int, ...]:
        """Not known to the host."""
        raise RuntimeError("where tasks end is known on the device alone")

    @property
    def groups(self) -> tuple[Group, ...]:
        """Not known to the host."""
        raise RuntimeError("where tasks end is known on the device alone")

    def ends_on(self, device: torch.device) -> Tensor:
        """Return where each group ends, int32 [T]."""
        return self.device_ends

    def by_blocks(self, rows: int) -> TaskBounds | None:
        """Return the bounds of blocks of so many rows; None where a block may hold two groups."""
        if self.multiple % rows:
            return None
        if rows not in self._blocks:
            ends = (self.device_ends + (rows - 1)) // rows
            self._blocks[rows] = DeviceBounds.of_ends(self.rows, ends, -(-self.size // rows))
        return self._blocks[rows]

    def on_host(self) -> TaskBounds:
        """Return the same bounds with ends that the host knows: it waits for them once."""
        return self._fetched

    @cached_property
    def _fetched(self) -> TaskBounds:
        return TaskBounds(self.rows, tuple(self.device_ends.tolist()))

    def rows_on(self, device: torch.device) -> Tensor:
        """Return each group's row of J, int64 [T], made on the device."""
        first, *others = self.rows
        if others and others != [*range(first + 1, first + len(self.rows))]:
            return torch.stack([torch.full((), row, device=device) for row in self.rows])
        return torch.arange(first, first + len(self.rows), device=device)

    def times(self, count: int) -> TaskBounds:
        """Return the bounds of an activation that has `count` rows for each of these."""
        if count == 1:
            return self
        ends, multiple = self.device_ends * count, self.multiple * count
        return DeviceBounds.of_ends(self.rows, ends, self.size * count, multiple)


_CURRENT: ContextVar[TaskBounds | None] = ContextVar("bounds", default=None)


def current_bounds() -> TaskBounds | None:
    """Return whose rows are whose in the block around; None where nothing was said."""
    return _CURRENT.get()
