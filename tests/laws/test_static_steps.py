"""Steps of static shapes measure what others do; their sizes are few."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from worlds import (
    COSINE_CLS,
    LOGISTIC,
    MIXES,
    STS,
    MakeEncoder,
    Split,
    World,
    assert_rows_close,
)

from accord.encoders.packing import TokenSequence, pack
from accord.encoders.static import pack_static, size_of
from accord.kernels import fused
from accord.kernels.fused import activations, formula

Sequences = Callable[..., list[TokenSequence]]


@pytest.mark.usefixtures("small_sizes")
@pytest.mark.quick("five", "all poolings")
@pytest.mark.parametrize("joint", [False, True], ids=["per-task", "joint"])
@pytest.mark.parametrize("mix", MIXES)
def test_static_steps_measure_what_packed_ones_do(
    mix: str, joint: bool, tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    worlds = []
    for _ in range(2):
        torch.manual_seed(0)
        worlds.append(World(MIXES[mix], tiny_encoder(), random_split, joint=joint))
    plain, world = worlds
    for number, every in enumerate([[4, 3, 2, 5, 3], [1, 0, 4, 3, 0], [2, 2, 2, 2, 2]]):
        counts = every[: len(world.tasks)]
        expected = plain.step(plain.batch(counts, seed=number))
        batch = world.batch(counts, seed=number, static=True)
        assert batch.static is not None
        record = world.step(batch)
        assert record.losses == pytest.approx(expected.losses, rel=1e-5)
        assert record.gradient_norm == pytest.approx(expected.gradient_norm, rel=1e-4)
        if not joint:
            assert_rows_close(world.jacobian.J, plain.jacobian.J)
            torch.testing.assert_close(world.jacobian.G, plain.jacobian.G, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(world.written(), plain.written(), rtol=1e-4, atol=1e-4)
        for ours, theirs in zip(world.own_parameters(), plain.own_parameters(), strict=True):
            assert (ours.grad is None) is (theirs.grad is None)
            if ours.grad is not None:
                torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("small_sizes")
@pytest.mark.parametrize("joint", [False, True], ids=["per-task", "joint"])
@pytest.mark.parametrize("activation", ["gelu", "silu"])
def test_with_kernels_between_products_it_is_so_too(
    activation: str, joint: bool, tiny_encoder: MakeEncoder, random_split: Split,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The formulas play them. Of the last layer's first tokens no block of rows is one task's."""
    measured: list[list[Tensor]] = []
    summed: list[bool] = []

    class Spy:
        forward = staticmethod(activations.forward)

        @staticmethod
        def backward(*given: object, sums: bool) -> tuple[Tensor, Tensor | None]:
            summed.append(sums)
            return activations.backward(*given, sums=sums)  # type: ignore[arg-type]

    for kernels in (False, True):
        torch.manual_seed(0)
        encoder = tiny_encoder(hidden_act=activation)
        world = World([STS, LOGISTIC, COSINE_CLS], encoder, random_split, joint=joint)
        with monkeypatch.context() as patch:
            if kernels:
                patch.setattr(fused, "kernels_for", lambda *given: formula)
                patch.setattr(fused, "activations_for", lambda *given: Spy)
            world.step(world.batch([4, 3, 2], static=True))
        measured.append([world.jacobian.J, world.jacobian.G, world.written()])
    layers = len(world.model.encoder.layers)
    assert summed == [joint, *[True] * (layers - 1)]
    for one, other in zip(*measured, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_sizes_are_few_and_waste_little() -> None:
    sizes = [size_of(count) for count in range(1, 70_000)]
    assert sizes == sorted(sizes)
    assert all(count <= size for count, size in enumerate(sizes, 1))
    assert all(size <= max(count + 255, 1.0625 * count) for count, size in enumerate(sizes, 1))
    assert len({*sizes}) < 16 * 7


def test_fillers_stand_where_they_should(random_sequences: Sequences) -> None:
    for lengths in [([5, 1, 9], [3]), ([32], [64, 200]), ([1],), ([7] * 60, [300] * 9, [2])]:
        tasks = [random_sequences(of, seed) for seed, of in enumerate(lengths)]
        batch, plain = pack_static(tasks, 60), pack(tasks)
        starts, ends = batch.starts.tolist(), batch.token_ends.tolist()
        assert starts[-1] == ends[-1] == len(batch.input_ids) == size_of(ends[-1])
        assert all(end % 32 == 0 for end in ends)
        counts = [b - a for a, b in pairwise(starts)]
        assert max(counts) <= batch.longest
        for (start, stop), (a, b) in zip(batch.task_sequences, plain.task_sequences, strict=True):
            assert counts[start:stop] == list(plain.lengths[a:b])
            ours = slice(starts[start], starts[stop])
            theirs = slice(plain.cu_seqlens[a], plain.cu_seqlens[b])
            for name in ("input_ids", "position_ids", "token_type_ids"):
                assert torch.equal(getattr(batch, name)[ours], getattr(plain, name)[theirs]), name
        distinct = batch.table_ids.tolist()
        assert len({*distinct}) == len(distinct)
        assert {*batch.input_ids.tolist()} <= {*distinct} <= {*range(60)}


def test_batches_of_one_size_share_it(random_sequences: Sequences) -> None:
    one = pack_static([random_sequences([5, 9], 0), random_sequences([3], 1)], 60)
    other = pack_static([random_sequences([7, 2], 2), random_sequences([30], 3)], 60)
    more = pack_static([random_sequences([5, 9, 4], 0), random_sequences([3], 1)], 60)
    assert one.size == other.size
    assert one.size != more.size
