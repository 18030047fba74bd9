"""How attention runs over a batch: its sequences in buckets of similar length, and their rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

_WASTE = 1.12  # longest over shortest length within a bucket; measured best from 1.0 to 2.0


@dataclass(frozen=True)
class Bucket:
    """b sequences of similar length, padded to the longest, L.

    Attributes:
        count: b.
        length: L.
        width: queries per sequence: L, or 1 if CLS tokens alone are queries.
        queries: (start, stop) of its b * width query places.
        keys: (start, stop) of its b * L key places.
        padding: float32 [b, 1, 1, L], -inf at padding and else 0; None where there is none.
    """

    count: int
    length: int
    width: int
    queries: tuple[int, int]
    keys: tuple[int, int]
    padding: Tensor | None


@dataclass(frozen=True)
class AttentionPlan:
    """How attention runs over one batch's sequences; made once a batch, used by every layer.

    Rows are laid out bucket by bucket, as [b, heads, L, d] in each: `keys` and `queries` hold
    the row at each place of a bucket as [b, L], padding repeating a sequence's first row.

    Attributes:
        lengths: tokens of each sequence.
        cls_queries: whether only each sequence's first token is a query.
        buckets: groups of similar length.
        queries: for each bucket, int64 [b, width].
        keys: for each bucket, int64 [b, L].
        inside: for each bucket, bool [b, L], false at padding.
        device: where attention runs; the indices above are on the host.
    """

    lengths: tuple[int, ...]
    cls_queries: bool
    buckets: tuple[Bucket, ...]
    queries: tuple[Tensor, ...]
    keys: tuple[Tensor, ...]
    inside: tuple[Tensor, ...]
    device: torch.device
    _layouts: dict[int, tuple[Layout, Layout]] = field(default_factory=dict)
    _starts: list[tuple[Tensor, Tensor, int, int]] = field(default_factory=list)

    def layouts(self, heads: int) -> tuple[Layout, Layout]:
        """Return where each head of each query goes, and of each key and value."""
        if heads not in self._layouts:
            inside = [part[:, :1] for part in self.inside] if self.cls_queries else self.inside
            self._layouts[heads] = (
                Layout.of(self.queries, inside, heads, 1).to(self.device),
                Layout.of(self.keys, self.inside, heads, 2).to(self.device),
            )
        return self._layouts[heads]

    def starts(self) -> tuple[Tensor, Tensor, int, int]:
        """Return where sequences start among queries and among keys, and the longest of each.

        The starts are int32 [B + 1] on the device, the last one the number of rows.
        """
        if not self._starts:
            sizes = torch.tensor(self.lengths)
            counts = torch.ones_like(sizes) if self.cls_queries else sizes
            queries, keys = (
                F.pad(amounts.cumsum(0), (1, 0)).int().to(self.device, non_blocking=True)
                for amounts in (counts, sizes)
            )
            self._starts.append((queries, keys, int(counts.max()), int(sizes.max())))
        return self._starts[0]


@dataclass(frozen=True)
class Layout:
    """Moves rows of heads to the buckets' [b, heads, L, d] and back, one gather each.

    A row holds one tensor's heads, or a key's and then a value's. What is laid out holds all
    of the first and then all of the second.

    Attributes:
        out: int64, the (row, head) at each place.
        back: int64, the place of each (row, head).
        padded: int64, the places that are padding; None where there are none.
        width: heads of a row.
    """

    out: Tensor
    back: Tensor
    padded: Tensor | None
    width: int

    @staticmethod
    def of(rows: Sequence[Tensor], inside: Sequence[Tensor], heads: int, parts: int) -> Layout:
        """Make the layout of buckets whose places hold `rows`, those `inside` for good.

        All on the host: on a GPU, a count of what is inside would wait for it.
        """
        width, head = heads * parts, torch.arange(heads)[:, None]
        first = torch.cat([(part[:, None] * width + head).flatten() for part in rows])
        out = torch.cat([first + part * heads for part in range(parts)])
        valid = torch.cat([
            part[:, None].expand(-1, heads, -1).flatten() for part in inside
        ]).repeat(parts)  # fmt: skip
        places = torch.arange(len(out))
        back = torch.empty(int(valid.sum()), dtype=torch.int64)
        back[out[valid]] = places[valid]
        return Layout(out, back, None if bool(valid.all()) else places[~valid], width)

    def to(self, device: torch.device) -> Layout:
        """Return the layout on a device."""
        out, back = (each.to(device, non_blocking=True) for each in (self.out, self.back))
        padded = None if self.padded is None else self.padded.to(device, non_blocking=True)
        return Layout(out, back, padded, self.width)

    def spread(self, x: Tensor, zeroed: bool = False) -> Tensor:
        """[rows, width * d] -> [places, d], with zeros at padding if asked for."""
        laid = x.reshape(-1, x.shape[1] // self.width).index_select(0, self.out)
        if zeroed and self.padded is not None:
            laid.index_fill_(0, self.padded, 0)
        return laid

    def gather(self, x: Tensor) -> Tensor:
        """[places, d] -> [rows, width * d]."""
        return x.index_select(0, self.back).view(-1, self.width * x.shape[1])


def plan_attention(
    lengths: Sequence[int], device: torch.device, cls_queries: bool = False
) -> AttentionPlan:
    """Group sequences into buckets of similar length.

    Args:
        lengths: tokens of each sequence.
        device: where the indices are needed.
        cls_queries: whether only each sequence's first token is a query.
    """
    sizes = torch.tensor(lengths)
    starts = F.pad(sizes.cumsum(0), (1, 0))[:-1]
    buckets, queries, keys, valid = [], [], [], []
    key_stop = query_stop = 0
    for members in _similar_lengths(lengths):
        count, longest = len(members), lengths[members[0]]
        width = 1 if cls_queries else longest
        offsets = torch.arange(longest)[None]
        inside = offsets < sizes[members][:, None]
        keys.append(starts[members][:, None] + offsets * inside)
        queries.append(torch.tensor(members)[:, None] if cls_queries else keys[-1])
        valid.append(inside)
        bias = torch.zeros(count, 1, 1, longest).masked_fill_(~inside[:, None, None], -math.inf)
        key_start, key_stop = key_stop, key_stop + count * longest
        query_start, query_stop = query_stop, query_stop + count * width
        buckets.append(
            Bucket(
                count, longest, width, (query_start, query_stop), (key_start, key_stop),
                None if bool(inside.all()) else bias.to(device, non_blocking=True),
            )
        )  # fmt: skip
    return AttentionPlan(
        tuple(lengths), cls_queries, tuple(buckets),
        tuple(queries), tuple(keys), tuple(valid), device,
    )  # fmt: skip


def _similar_lengths(lengths: Sequence[int]) -> list[list[int]]:
    """Group the indices of sequences whose lengths differ by little, each longest first."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    groups: list[list[int]] = []
    for i in order:
        if groups and lengths[groups[-1][0]] <= _WASTE * lengths[i] + 1:
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups
