from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from accord.encoders.families.bert import BertEncoder
from accord.encoders.packing import TokenSequence, pack

CLS, SEP = 1, 2


def test_pack_lays_everything_out() -> None:
    first = TokenSequence(np.array([1, 7, 2, 8, 2]), first=3)
    second = TokenSequence(np.array([1, 9, 2]), first=3)
    third = TokenSequence(np.array([4]), first=1)
    batch = pack([[first, second], [], [third]])
    assert batch.input_ids.tolist() == [1, 7, 2, 8, 2, 1, 9, 2, 4]
    assert batch.position_ids.tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 0]
    assert batch.token_type_ids.tolist() == [0, 0, 0, 1, 1, 0, 0, 0, 0]
    assert batch.lengths == (5, 3, 1)
    assert batch.cu_seqlens == (0, 5, 8, 9)
    assert batch.task_sequences == ((0, 2), (2, 2), (2, 3))
    assert batch.task_tokens == ((0, 8), (8, 8), (8, 9))
    assert batch.cls_rows.tolist() == [0, 5, 8]
    for tensor in (batch.input_ids, batch.position_ids, batch.token_type_ids, batch.cls_rows):
        assert tensor.dtype == torch.int64


@pytest.mark.parametrize("tasks", [[], [[]], [[TokenSequence(np.array([], dtype=int), 0)]]])
def test_nothing_to_pack_is_refused(tasks: list[list[TokenSequence]]) -> None:
    with pytest.raises(ValueError, match="at least one sequence, and none that is empty"):
        pack(tasks)


@pytest.mark.parametrize("lengths", [[5, 3], [8, 8], [1]])
def test_a_multiple_of_one_adds_no_filler(
    random_sequences: Callable[..., list[TokenSequence]], lengths: list[int]
) -> None:
    batch = pack([random_sequences(lengths), random_sequences(lengths)])
    assert batch.lengths == (*lengths, *lengths)
    assert batch.task_rows == batch.task_sequences


@given(
    tasks=st.lists(st.lists(st.integers(1, 20), max_size=4), min_size=1, max_size=4).filter(any),
    multiple=st.integers(1, 40),
)
def test_fillers_complete_each_task_to_the_multiple(
    random_sequences: Callable[..., list[TokenSequence]], tasks: list[list[int]], multiple: int
) -> None:
    batch = pack([random_sequences(lengths) for lengths in tasks], multiple)
    rows, tokens = [0], [0]
    for lengths, (start, stop) in zip(tasks, batch.task_sequences, strict=True):
        missing = [-sum(lengths) % multiple] if sum(lengths) % multiple else []
        assert start == rows[-1]
        assert batch.lengths[start:stop] == tuple(lengths)
        assert batch.lengths[start : start + len(lengths + missing)] == (*lengths, *missing)
        rows.append(start + len(lengths + missing))
        tokens.append(tokens[-1] + sum(lengths + missing))
    assert batch.task_rows == tuple(pairwise(rows))
    assert batch.task_tokens == tuple(pairwise(tokens))
    assert all(stop % multiple == 0 for _, stop in batch.task_tokens)
    assert (len(batch.lengths), len(batch.input_ids)) == (rows[-1], tokens[-1])


def test_a_task_without_sequences_gets_no_filler() -> None:
    sequence = TokenSequence(np.array([1, 2]), first=2)
    batch = pack([[], [sequence], [], [sequence], []], 4)
    assert batch.lengths == (2, 2, 2, 2)
    assert batch.task_sequences == ((0, 0), (0, 1), (2, 2), (2, 3), (4, 4))
    assert batch.task_tokens == ((0, 0), (0, 4), (4, 4), (4, 8), (8, 8))


def test_fillers_hold_zeros_alone() -> None:
    batch = pack([[TokenSequence(np.array([7, 8, 9]), first=2)]], 5)
    assert batch.input_ids.tolist() == [7, 8, 9, 0, 0]
    assert batch.position_ids.tolist() == [0, 1, 2, 0, 0]
    assert batch.token_type_ids.tolist() == [0, 0, 1, 0, 0]


def test_a_filler_may_be_longer_than_the_encoder_has_positions(
    tiny_encoder: Callable[..., BertEncoder],
    random_sequences: Callable[..., list[TokenSequence]],
) -> None:
    encoder, sequences = tiny_encoder(max_position_embeddings=4), random_sequences([3, 4])
    batch = pack([sequences], 32)
    assert batch.lengths == (3, 4, 25)
    torch.testing.assert_close(encoder(batch)[:7], encoder(pack([sequences])))


@given(
    counts=st.lists(st.integers(0, 3), min_size=1, max_size=4).filter(sum), seed=st.integers(0, 99)
)
def test_slices_give_every_sequence_back(
    random_sequences: Callable[..., list[TokenSequence]], counts: list[int], seed: int
) -> None:
    lengths = np.random.default_rng(seed).integers(1, 20, sum(counts)).tolist()
    flat = random_sequences(lengths, seed)
    rest = iter(flat)
    batch = pack([[next(rest) for _ in range(count)] for count in counts])
    bounds = list(zip(batch.cu_seqlens[:-1], batch.cu_seqlens[1:], strict=True))
    for sequence, (start, stop) in zip(flat, bounds, strict=True):
        assert batch.input_ids[start:stop].tolist() == sequence.input_ids.tolist()
        assert batch.position_ids[start:stop].tolist() == list(range(len(sequence.input_ids)))
        assert int((batch.token_type_ids[start:stop] == 0).sum()) == sequence.first
    assert [stop - start for start, stop in batch.task_sequences] == counts
    for (start, stop), tokens in zip(batch.task_sequences, batch.task_tokens, strict=True):
        assert tokens == (sum(lengths[:start]), sum(lengths[:stop]))


def test_to_another_device_moves_every_tensor(
    random_sequences: Callable[..., list[TokenSequence]],
) -> None:
    batch = pack([random_sequences([3, 2])])
    assert batch.to(torch.device("cpu")) is batch
    moved = batch.to(torch.device("meta"))
    for name in ("input_ids", "position_ids", "token_type_ids"):
        assert getattr(moved, name).device.type == "meta"
    assert moved.lengths == batch.lengths
