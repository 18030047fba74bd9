"""How rows are cut into chunks, and sequences into passes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from accord.encoders.encoder import EncoderConfig
from accord.encoders.packing import TokenSequence

CHUNK_ROWS = 4096  # of one sort by length: bounds memory, whatever the file's size

CPU_TOKENS = 2048  # their activations fit a CPU's cache
GPU_TOKENS = (262_144, 65_536, 16_384, 4096)  # few, so that a run meets the same passes again
_FREE_SHARE = 0.5  # of a GPU's free memory that a pass may take
_COUNTED_SHARE = 0.6  # of all of it: while more is free, the card alone decides, and a run that
# resumes evaluates in the same passes, however many steps it has recorded by then
_EVERYBODYS = (0, 0)  # the memory pool that no graph owns
_HIDDEN_FLOATS, _INNER_FLOATS = 8, 3  # alive at once in a layer, per token and unit
_LOGIT_FLOATS = 3  # per told word and entry of the vocabulary: logits, their softmax, a copy


def tokens_of_a_pass(device: torch.device, config: EncoderConfig, masked_share: float = 0.0) -> int:
    """Return the most tokens of one pass: on a CPU what its cache holds, on a GPU what pays.

    Args:
        device: where the encoder is.
        config: its sizes.
        masked_share: of the tokens whose words are told: each has a logit for every word.
    """
    if device.type != "cuda":
        return CPU_TOKENS
    free, total = torch.cuda.mem_get_info(device)
    most = int(_COUNTED_SHARE * total)
    if free < most:
        free += idle_bytes(device)
    return tokens_that_fit(min(free, most), config, masked_share)


def idle_bytes(device: torch.device) -> int:
    """Return the bytes of a GPU's memory that torch keeps and nothing holds; what lies idle in the
    pool of recorded steps is theirs alone."""
    segments = torch.cuda.memory_snapshot()  # type: ignore[no-untyped-call]
    return sum(
        segment["total_size"] - segment["allocated_size"]
        for segment in segments
        if segment["device"] == (device.index or 0)
        and tuple(segment["segment_pool_id"]) == _EVERYBODYS
    )


def tokens_that_fit(free_bytes: int, config: EncoderConfig, masked_share: float = 0.0) -> int:
    """Return the largest of `GPU_TOKENS` whose activations fit half of a GPU's free memory.

    A pass without gradients keeps one layer's activations: about 8 float32 a hidden unit and 3 an
    inner one, for each token. Which size it is does not depend on small differences in what is
    free: products round otherwise in passes of other sizes.

    Args:
        free_bytes: of the GPU's memory.
        config: the encoder's sizes.
        masked_share: as in `tokens_of_a_pass`.

    Returns:
        That size; the smallest where none fits.

    Example:
        >>> from accord.encoders import BertConfig
        >>> tokens_that_fit(64 << 30, BertConfig()), tokens_that_fit(6 << 30, BertConfig())
        (262144, 16384)
    """
    floats = (
        _HIDDEN_FLOATS * config.hidden_size
        + _INNER_FLOATS * config.intermediate_size
        + _LOGIT_FLOATS * config.vocab_size * masked_share
    )
    most = _FREE_SHARE * free_bytes / (4 * floats)
    return next((tokens for tokens in GPU_TOKENS if tokens <= most), GPU_TOKENS[-1])


def passes(
    sequences: Sequence[Sequence[TokenSequence]], limit: int
) -> Iterator[tuple[int, list[int]]]:
    """Yield for each pass a group and members of it, those of like length together."""
    for group, every in enumerate(sequences):
        members: list[int] = []
        tokens = 0
        for length, i in sorted(((len(one.input_ids), i) for i, one in enumerate(every)),
                                reverse=True):  # fmt: skip
            if tokens and tokens + length > limit:
                yield group, members
                members, tokens = [], 0
            members.append(i)
            tokens += length
        if tokens:
            yield group, members


def chunks(sizes: Sequence[int]) -> Iterator[list[range]]:
    """Cut all tasks' rows into chunks, each with the tasks' rows in proportion."""
    count = max(1, -(-sum(sizes) // CHUNK_ROWS))
    for i in range(count):
        yield [range(size * i // count, size * (i + 1) // count) for size in sizes]
