"""An encoder prepared once for passes without gradients: what a loaded model predicts with.

The same operations as `Encoder.forward` in evaluation, on weights that are laid out once
(`accord.kernels.dense`): queries, keys and values come from one product, and sequences of one
length, which stand in a row where they were sorted, are attended to in one call, without buckets.
It goes block by block, so that a caller may stop after any of them and go on with a batch of other
sequences.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn import functional as F

from accord.encoders.blocks import Attention, Block, FeedForward
from accord.encoders.encoder import Encoder
from accord.encoders.packing import PackedBatch
from accord.kernels.attention import AttentionPlan
from accord.kernels.dense import FEW_ROWS, ROW_MULTIPLE, Dense, lay_out
from accord.kernels.matmul import MatmulPolicy, computing
from accord.pertask.bounds import TaskBounds
from accord.pertask.modules import Linear


class PreparedBlock:
    """A block of `Attention` and `FeedForward`, laid out.

    The weights of queries, keys and values are moved into one tensor, of which the block's
    parameters become views. What is laid out is made when it is first used.

    Args:
        block: as it is; its weights must not change any more.
        matmul: in what precision, and how this machine multiplies.
    """

    def __init__(self, block: Block, matmul: MatmulPolicy) -> None:
        self.block, self.matmul = block, matmul
        fused = _side_by_side(block.attention.query, block.attention.key_value)
        layers = block.dense_layers().items()
        self.weights: dict[str, tuple[Tensor, Tensor | None]] = {
            name: (layer.weight.detach(), layer.bias) for name, layer in layers
        }
        self.weights["all"] = fused
        self.layers: dict[str, Dense] = {}

    def dense(self, name: str, x: Tensor) -> Tensor:
        """Apply a dense layer by its name, [n, k] -> [n, m]; "all" gives queries, keys, values, and
        "intermediate" has its activation in it."""
        if name not in self.layers:  # two threads may both lay it out: they make the same
            activation = self.block.feed_forward.activation_name
            self.layers[name] = lay_out(
                *self.weights[name], self.matmul, activation if name == "intermediate" else None
            )
        return self.layers[name](x)

    def __call__(self, x: Tensor, batch: PackedBatch) -> Tensor:
        """Run the block for all tokens, [N, H] -> [N, H]."""
        normed = self.block.attention_norm(x) if self.block.pre_norm else x
        projected, heads = self.dense("all", normed), self.block.attention.heads
        attended = _attend(projected.chunk(3, 1), batch.runs, heads)
        return self._after_attention(x, attended)

    def first(self, x: Tensor, batch: PackedBatch) -> Tensor:
        """Run the block for each sequence's first token, [N, H] -> [B, H]."""
        normed = self.block.attention_norm(x) if self.block.pre_norm else x
        key_value, heads = self.dense("key_value", normed), self.block.attention.heads
        query = self.dense("query", normed.index_select(0, batch.cls_rows))
        attended = _attend((query, *key_value.chunk(2, 1)), batch.runs, heads)
        return self._after_attention(x.index_select(0, batch.cls_rows), attended)

    def _after_attention(self, x: Tensor, attended: Tensor) -> Tensor:
        block = self.block
        x = self.dense("attention_output", attended).add_(x)
        x = x if block.pre_norm else block.attention_norm(x)
        inner = self.dense("intermediate", block.output_norm(x) if block.pre_norm else x)
        x = self.dense("output", inner).add_(x)
        return x if block.pre_norm else block.output_norm(x)


class Prepared:
    """An encoder prepared for inference; blocks that aren't known here are run as they are.

    Its methods are called without gradients, from any number of threads, inside or outside of a
    way of multiplying or autocast: they compute by `matmul` alone.

    In float32 it costs the memory of the blocks' weights a second time, from the first use on. In
    bfloat16 it costs half of the blocks' weights. Parameters stay what they are, as views.

    Args:
        encoder: in evaluation mode, on the device where it is to run; its weights must not change
            any more.
        matmul: in what precision, and how this machine multiplies.
    """

    def __init__(self, encoder: Encoder, matmul: MatmulPolicy) -> None:
        self.encoder, self.matmul = encoder, matmul
        self.device = encoder.word_table.device
        self.layers = list(encoder.layers)
        self.blocks = [
            PreparedBlock(block, matmul) if _known(block) else None for block in self.layers
        ]

    def row_multiple(self, tokens: int) -> int:
        """Return of which the tokens of a pass of so many should be a multiple."""
        few = tokens <= FEW_ROWS and None not in self.blocks
        return min(ROW_MULTIPLE, self.matmul.row_multiple) if few else self.matmul.row_multiple

    def embed(self, batch: PackedBatch) -> Tensor:
        """Return the first block's input, float32 [N, H]."""
        x: Tensor = self.encoder.embeddings(batch.ids, None)
        return x

    def block(self, number: int, x: Tensor, batch: PackedBatch) -> Tensor:
        """Run a block, counted from 0, for all tokens: [N, H] -> [N, H]."""
        prepared = self.blocks[number]
        if prepared is None:
            return self._as_it_is(self.layers[number], x, batch.plan)
        with _no_autocast():
            return prepared(x, batch)

    def last(self, x: Tensor, batch: PackedBatch) -> Tensor:
        """Run the last block for each sequence's first token alone: [N, H] -> [B, H]."""
        prepared = self.blocks[-1]
        if prepared is None:
            first = (batch.cls_rows, batch.sequence_bounds)
            return self._as_it_is(self.layers[-1], x, batch.cls_plan, first)
        with _no_autocast():
            return prepared.first(x, batch)

    def _as_it_is(
        self, block: Block, x: Tensor, plan: AttentionPlan,
        first: tuple[Tensor, TaskBounds] | None = None,
    ) -> Tensor:  # fmt: skip
        with computing(self.matmul), self.matmul.autocast(self.device):
            y: Tensor = block(x, plan, None, first)
            return y


def _known(block: Block) -> bool:
    """Whether a block is of exactly those parts that `PreparedBlock` computes, on a CPU."""
    parts = (block, block.attention, block.feed_forward)
    kinds = (Block, Attention, FeedForward)
    return all(type(part) is kind for part, kind in zip(parts, kinds, strict=True)) and all(
        type(layer) is Linear
        and layer.weight.device.type == "cpu"
        and layer.weight.dtype == torch.float32
        for layer in block.dense_layers().values()
    )


def _side_by_side(query: Linear, key_value: Linear) -> tuple[Tensor, Tensor | None]:
    """Move two layers' weights into one tensor; the layers keep views of it.

    Returns:
        [3H, H] and [3H], or None without biases.
    """
    weight = _joined([query.weight, key_value.weight])
    return weight, None if query.bias is None else _joined([query.bias, key_value.bias])


def _joined(parts: Sequence[Parameter]) -> Tensor:
    whole, start = torch.cat([part.detach() for part in parts]), 0
    for part in parts:
        stop = start + len(part)
        part.data, start = whole[start:stop], stop
    return whole


def _attend(parts: Sequence[Tensor], runs: Sequence[tuple[int, int]], heads: int) -> Tensor:
    """Attend within sequences, in one call for all of a run that have the same length.

    Args:
        parts: queries, [N, H] or of first tokens alone [B, H]; keys and values [N, H].
        runs: of how many sequences, and of what length.
        heads: of the attention.

    Returns:
        Of the queries' shape.
    """
    tokens = [count * length for count, length in runs]
    rows = tokens if len(parts[0]) == len(parts[1]) else [count for count, _ in runs]
    splits = (
        part.split_with_sizes(sizes)
        for part, sizes in zip(parts, (rows, tokens, tokens), strict=True)
    )
    attended = [
        _attend_alike(piece, count, heads) for (count, _), *piece in zip(runs, *splits, strict=True)
    ]
    return attended[0] if len(attended) == 1 else torch.cat(attended)


def _attend_alike(parts: Sequence[Tensor], count: int, heads: int) -> Tensor:
    """Attend within so many sequences of one length."""
    query, key, value = (
        x.view(count, -1, heads, x.shape[1] // heads).transpose(1, 2) for x in parts
    )
    attended = F.scaled_dot_product_attention(query, key, value)
    return attended.transpose(1, 2).reshape(parts[0].shape)


@contextlib.contextmanager
def _no_autocast() -> Iterator[None]:
    """Compute as written: autocast would cast weights in every call."""
    if not torch.is_autocast_enabled("cpu"):
        yield
        return
    with torch.autocast("cpu", enabled=False):
        yield
