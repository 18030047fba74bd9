"""Sequences, passes and targets of a step."""

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.overrides import TorchFunctionMode

from accord.data.batches import StepBatch, step_batch
from accord.data.loader import Assembler, TaskData
from accord.data.sources import each_alone
from accord.data.tokenizing import SpecialIds
from accord.encoders.packing import PackedBatch
from accord.tasks import Task

Split = Callable[..., TaskData]
CLS, SEP = 1, 2
SST = Task("sst", "classification", "cross_entropy", "accuracy", labels=("a", "b", "c"))
JOINT = Task("sts", "pair-regression", "mse", "pearson", range=(0.0, 5.0))
SEPARATE = replace(JOINT, name="separate", encoding="separate")
TASKS = [SST, JOINT, SEPARATE]


def assembler(max_length: int = 64) -> Assembler:
    return Assembler(SpecialIds(CLS, SEP, 0), max_length)


def batch_of(
    data: Sequence[TaskData], drawn: Sequence[Sequence[int]], limit: int | None = None,
    max_length: int = 64, multiple: int = 1,
) -> StepBatch:  # fmt: skip
    rows = [np.array(each, dtype=int) for each in drawn]
    return step_batch(
        rows, each_alone(data), assembler(max_length), torch.device("cpu"), limit, multiple
    )


def examples(batch: StepBatch, data: Sequence[TaskData]) -> list[list[tuple[object, float]]]:
    """For each present task its (token ids of its sequences, target), over all passes."""
    actual: list[list[tuple[object, float]]] = [[] for _ in batch.present]
    for micro in batch.passes:
        packed = micro.inputs
        assert isinstance(packed, PackedBatch)
        parts = packed.input_ids.split(list(packed.lengths))
        for each, i, (start, stop), targets in zip(
            actual, batch.present, packed.task_sequences, micro.targets, strict=True
        ):
            width = data[i].task.sequences
            assert stop - start == width * len(targets)
            for j, target in enumerate(targets.tolist()):
                at = start + j * width
                each.append(([part.tolist() for part in parts[at : at + width]], target))
    return actual


def test_one_text(random_split: Split) -> None:
    data = random_split(SST, 5)
    (sequence,) = assembler().sequences(data, [3])
    assert sequence.input_ids.tolist() == [CLS, *data.store.segment(3, 0), SEP]
    assert sequence.first == len(sequence.input_ids)


def test_a_joint_pair_is_one_sequence(random_split: Split) -> None:
    data = random_split(JOINT, 5)
    (sequence,) = assembler().sequences(data, [2])
    first, second = data.store.segment(2, 0), data.store.segment(2, 1)
    assert sequence.input_ids.tolist() == [CLS, *first, SEP, *second, SEP]
    assert sequence.first == len(first) + 2


def test_a_separate_pair_is_two_neighbours(random_split: Split) -> None:
    data = random_split(SEPARATE, 5)
    sequences = assembler().sequences(data, [4, 1])
    texts = [data.store.segment(row, which) for row in (4, 1) for which in (0, 1)]
    for sequence, text in zip(sequences, texts, strict=True):
        assert sequence.input_ids.tolist() == [CLS, *text, SEP]
        assert sequence.first == len(sequence.input_ids)


def test_rows_are_the_splits_not_the_stores(random_split: Split) -> None:
    data = random_split(SST, 6)
    part = TaskData(SST, data.store, np.array([5, 0, 3]))
    assert len(part) == 3
    assert part.labels.tolist() == data.labels[[5, 0, 3]].tolist()
    assert part.targets(np.array([2])).tolist() == [data.labels[3]]
    (sequence,) = assembler().sequences(part, [2])
    assert sequence.input_ids.tolist() == [CLS, *data.store.segment(3, 0), SEP]
    assert assembler().lengths(part).tolist() == assembler().lengths(data)[[5, 0, 3]].tolist()


@pytest.mark.parametrize("max_length", [3, 5, 8, 14, 64])
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_lengths_say_what_sequences_have(random_split: Split, task: Task, max_length: int) -> None:
    data = random_split(task, 30, longest=8)
    ours = assembler(max_length)
    sizes = [
        sum(len(sequence.input_ids) for sequence in ours.sequences(data, [i])) for i in range(30)
    ]
    assert ours.lengths(data).tolist() == sizes
    assert max(sizes) <= max_length * task.sequences


def test_targets_are_scaled(random_split: Split) -> None:
    data = random_split(JOINT, 5)
    batch = batch_of([data], [[1, 4]])
    (targets,) = batch.passes[0].targets
    assert targets.dtype == torch.float32
    assert targets.tolist() == pytest.approx((data.labels[[1, 4]] / 5).tolist())


def test_an_absent_task_is_left_out(random_split: Split) -> None:
    data = [random_split(task, 5) for task in TASKS]
    batch = batch_of(data, [[1], [], [0, 3]])
    assert batch.present == (0, 2)
    assert [rows.tolist() for rows in batch.rows] == [[1], [0, 3]]
    (micro,) = batch.passes
    assert isinstance(micro.inputs, PackedBatch)
    assert micro.inputs.task_sequences == ((0, 1), (1, 5))
    assert [len(targets) for targets in micro.targets] == [1, 2]


@given(
    counts=st.lists(st.integers(0, 7), min_size=3, max_size=3).filter(any),
    limit=st.one_of(st.none(), st.integers(1, 80)),
    max_length=st.sampled_from([5, 12, 64]),
)
def test_passes_hold_every_example_once_in_order(
    random_split: Split, counts: list[int], limit: int | None, max_length: int
) -> None:
    data = [random_split(task, 8, seed) for seed, task in enumerate(TASKS)]
    drawn = [np.random.default_rng(i).permutation(8)[:n].tolist() for i, n in enumerate(counts)]
    batch = batch_of(data, drawn, limit, max_length)
    expected = [
        [
            (
                [s.input_ids.tolist() for s in assembler(max_length).sequences(data[i], [row])],
                data[i].targets(np.array([row])).item(),
            )
            for row in drawn[i]
        ]
        for i in batch.present
    ]
    assert examples(batch, data) == expected
    every = [token for each in expected for ids, _ in each for part in ids for token in part]
    assert sorted(batch.token_ids.tolist()) == sorted(every)
    assert batch.tokens == len(every)


@given(limit=st.integers(1, 80))
def test_a_pass_is_as_full_as_the_limit_allows(random_split: Split, limit: int) -> None:
    """Within the limit except for a single longer example; the next one would not have fitted."""
    data = [random_split(task, 8, seed) for seed, task in enumerate(TASKS)]
    batch = batch_of(data, [range(8)] * 3, limit)
    sizes = iter([size for split in data for size in assembler().lengths(split).tolist()])
    following = next(sizes)
    for number, micro in enumerate(batch.passes):
        assert isinstance(micro.inputs, PackedBatch)
        count = sum(map(len, micro.targets))
        tokens = len(micro.inputs.input_ids)
        assert tokens <= limit or count == 1
        for _ in range(count):
            tokens -= following
            following = next(sizes, 0)
        assert tokens == 0
        if number + 1 < len(batch.passes):
            assert len(micro.inputs.input_ids) + following > limit
    assert next(sizes, None) is None


@pytest.mark.parametrize("limit", [None, 40])
def test_fillers_change_neither_the_examples_nor_the_count_of_tokens(
    random_split: Split, limit: int | None
) -> None:
    data = [random_split(task, 8, seed) for seed, task in enumerate(TASKS)]
    plain, filled = (batch_of(data, [range(5)] * 3, limit, multiple=m) for m in (1, 16))
    assert examples(filled, data) == examples(plain, data)
    assert filled.tokens == plain.tokens == len(plain.token_ids)


@pytest.mark.parametrize("limit", [None, 40])
def test_each_pass_is_filled_task_by_task(random_split: Split, limit: int | None) -> None:
    data = [random_split(task, 8, seed) for seed, task in enumerate(TASKS)]
    batch = batch_of(data, [range(5)] * 3, limit, multiple=16)
    ids = [micro.inputs.input_ids for micro in batch.passes]  # type: ignore[union-attr]
    for micro in batch.passes:
        assert isinstance(micro.inputs, PackedBatch)
        assert all(stop % 16 == 0 for _, stop in micro.inputs.task_tokens)
    assert torch.equal(batch.token_ids, torch.cat(ids))
    assert len(batch.token_ids) > batch.tokens


def test_without_a_limit_there_is_one_pass(random_split: Split) -> None:
    data = [random_split(task, 8) for task in TASKS]
    assert len(batch_of(data, [range(8)] * 3).passes) == 1


def test_a_batch_goes_to_a_device_as_a_whole(random_split: Split) -> None:
    """But for the ids of its words, which stay on the host; and from the host without a wait."""
    data = [random_split(task, 5) for task in (SST, JOINT)]
    batch = batch_of(data, [[0, 1], [2, 3]], limit=30)
    copies: list[bool] = []

    class Watched(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            if function is torch.Tensor.to:
                copies.append((kwargs or {}).get("non_blocking", False))
            return function(*args, **(kwargs or {}))

    with Watched():
        there = batch.to(torch.device("meta"))
    assert copies
    assert all(copies)
    assert {one.device.type for one in tensors_of(there.passes)} == {"meta"}
    assert len(tensors_of(there.passes)) == len(tensors_of(batch.passes)) == len(copies)
    assert torch.equal(there.token_ids, batch.token_ids)


def tensors_of(value: object) -> list[torch.Tensor]:
    """All tensors of a value, whatever holds them."""
    if isinstance(value, torch.Tensor):
        return [value]
    if is_dataclass(value):
        return [one for each in fields(value) for one in tensors_of(getattr(value, each.name))]
    if isinstance(value, dict):
        return tensors_of(list(value.values()))
    if isinstance(value, list | tuple):
        return [one for each in value for one in tensors_of(each)]
    return []
