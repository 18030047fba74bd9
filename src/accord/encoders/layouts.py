"""Packed batches of lists of ids and of padded tensors, and back: an encoder by itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from accord.encoders.packing import PackedBatch, TokenSequence, pack


def pack_lists(
    sequences: Sequence[Sequence[int]], firsts: Sequence[int] | None = None
) -> PackedBatch:
    """Pack sequences of token ids, as a tokenizer gives them without padding.

    Args:
        sequences: B lists, special tokens included.
        firsts: how many tokens of each are of type 0, those of a pair's first text; the rest are of
            type 1. None: all are of type 0.

    Returns:
        A batch of one task, on the CPU; `.to(device)` moves it.

    Raises:
        ValueError: if there is no sequence, or an empty one, or another number of firsts.

    Example:
        >>> pack_lists([[101, 7, 102], [101, 102]]).lengths
        (3, 2)
    """
    if firsts is None:
        firsts = [len(ids) for ids in sequences]
    return pack([[
        TokenSequence(np.asarray(ids, dtype=np.int64), first)
        for ids, first in zip(sequences, firsts, strict=True)
    ]])  # fmt: skip


def pack_padded(
    input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
) -> PackedBatch:
    """Pack padded tensors, as transformers' tokenizers give them.

    Args:
        input_ids: int [B, L].
        attention_mask: [B, L], not 0 at tokens; padding is at the end.
        token_type_ids: int [B, L]: 0 in a pair's first text, 1 in its second. None: all are 0.

    Returns:
        A batch of one task, on the CPU; `.to(device)` moves it.

    Raises:
        ValueError: if padding is not at the end, a row has no token, or types are not 0s and then
            1s.

    Example:
        >>> ids = torch.tensor([[101, 7, 102], [101, 102, 0]])
        >>> pack_padded(ids, attention_mask=ids != 0).lengths
        (3, 2)
    """
    ids, mask = input_ids.cpu().numpy(), attention_mask.cpu().numpy() != 0
    types = np.zeros_like(ids) if token_type_ids is None else token_type_ids.cpu().numpy()
    if not ids.shape == mask.shape == types.shape or ids.ndim != 2:
        raise ValueError(
            f"ids, mask and types should be [B, L] each, got {ids.shape}, {mask.shape} and"
            f" {types.shape}"
        )
    if (mask[:, 1:] > mask[:, :-1]).any():
        raise ValueError("padding should be at the end of each row")
    lengths = mask.sum(axis=1)
    second = (types != 0) & mask
    if (second[:, :-1] > second[:, 1:])[mask[:, 1:]].any() or (types[mask] > 1).any():
        raise ValueError("token types of each row should be 0s and then 1s")
    rows = [row[:length].tolist() for row, length in zip(ids, lengths, strict=True)]
    return pack_lists(rows, (lengths - second.sum(axis=1)).tolist())


def unpack(hidden: Tensor, batch: PackedBatch) -> Tensor:
    """Lay hidden states out with padding.

    Args:
        hidden: of a packed batch, [N, H].
        batch: that it is of.

    Returns:
        [B, L, H], L the longest sequence's tokens; padding is 0.

    Example:
        >>> batch = pack_lists([[101, 7, 102], [101, 102]])
        >>> unpack(torch.ones(5, 4), batch).shape
        torch.Size([2, 3, 4])
    """
    sequences = list(torch.split(hidden, list(batch.lengths)))
    return pad_sequence(sequences, batch_first=True)
