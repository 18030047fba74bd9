"""J from one backward pass equals T separate backward passes by plain autograd (dropout off)."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from worlds import COSINE, MIXES, QUORA, SST, STS, MakeEncoder, Split, World, assert_rows_close

from accord.data.batches import StepBatch
from accord.encoders.packing import PackedBatch
from accord.kernels.matmul import MatmulPolicy


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("passes", ["one pass", "micro-batches"])
def test_j_equals_separate_backward_passes(
    mix: str, passes: str, tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    weights = [0.3 + 1.1 * i for i in range(len(MIXES[mix]))]
    world = World(MIXES[mix], tiny_encoder(), random_split, weights)
    limit = None if passes == "one pass" else 20
    batch = world.batch([4, 3, 2, 5, 3][: len(world.tasks)], limit)
    assert (len(batch.passes) > 1) is (limit is not None)
    record = world.step(batch)
    losses, J = world.separate(batch)

    assert_rows_close(world.jacobian.J, J)
    gramian = world.jacobian.G
    assert gramian.dtype == torch.float64
    exact = J.double() @ J.double().t()
    torch.testing.assert_close(gramian, exact, rtol=1e-4, atol=1e-6 * float(exact.max()))

    w = 0.7 * torch.arange(1.0, len(J) + 1)
    assert record.weights == [pytest.approx(w.tolist())]
    assert record.balance == pytest.approx(weights)
    assert_rows_close(world.written()[None], ((w * torch.tensor(weights)) @ J)[None])

    for loss, task in zip(losses, world.tasks, strict=True):
        assert record.losses[task.name] == pytest.approx(loss.item(), rel=1e-5)
    assert record.gramian is not None
    torch.testing.assert_close(record.gramian, exact, rtol=1e-4, atol=1e-4)
    heads = [
        torch.autograd.grad(weight * loss, list(world.model.heads[task.name].parameters()),
                            retain_graph=True)
        if task.head == "linear" else ()
        for loss, task, weight in zip(losses, world.tasks, weights, strict=True)
    ]  # fmt: skip
    for task, head in zip(world.tasks, heads, strict=True):
        for parameter, gradient in zip(
            world.model.heads[task.name].parameters(), head, strict=True
        ):
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-6)
    total = torch.cat([world.written(), *(g.flatten() for head in heads for g in head)])
    assert record.gradient_norm == pytest.approx(float(total.norm()), rel=1e-4)


def has_filler(batch: StepBatch) -> bool:
    return len(batch.token_ids) > batch.tokens


def flat_gradients(world: World) -> Tensor:
    heads = [p.grad.flatten() for p in world.model.heads.parameters() if p.grad is not None]
    return torch.cat([world.written(), *heads])


@pytest.mark.quick("five", "cls and pooler")
@pytest.mark.parametrize("joint", [False, True], ids=["per-task", "joint"])
@pytest.mark.parametrize("limit", [None, 40], ids=["one pass", "micro-batches"])
@pytest.mark.parametrize("mix", MIXES)
def test_fillers_change_no_gradient(
    mix: str, limit: int | None, joint: bool, tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    actual = []
    for multiple in (1, 32):
        torch.manual_seed(0)
        world = World(MIXES[mix], tiny_encoder(), random_split, joint=joint)
        batch = world.batch(micro_batch_tokens=limit, multiple=multiple)
        assert has_filler(batch) is (multiple > 1)
        actual.append((world.step(batch), world.jacobian.J, flat_gradients(world)[None]))
    (plain, *expected), (filled, *ours) = actual
    assert filled.losses == pytest.approx(plain.losses, rel=1e-5)
    for our, other in zip(ours, expected, strict=True):
        assert bool(((our - other).norm(dim=1) < 1e-5 * other.norm(dim=1)).all())


@pytest.mark.parametrize("p", [0.0, 0.3])
@pytest.mark.parametrize("joint", [False, True], ids=["per-task", "joint"])
@pytest.mark.parametrize("mix", ["one", "one pooler", "cls and pooler", "all poolings"])
def test_a_filler_s_own_word_has_a_gradient_of_exactly_zero(
    mix: str, joint: bool, p: float, tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    world = World(MIXES[mix], tiny_encoder(), random_split, joint=joint)
    world.model.encoder.set_dropout(p)
    batch = world.batch(multiple=32)
    assert has_filler(batch)
    world.step(batch)
    word = world.model.encoder.embeddings.word
    table = world.jacobian.J[:, -word.numel() :].unflatten(1, (-1, word.shape[1]))
    assert word.grad is not None
    assert not bool(table[:, 0].any() | word.grad[0].any())
    assert bool(table[:, 1].any(1).all())  # [CLS]


any_batch = given(
    counts=st.lists(st.integers(0, 6), min_size=3, max_size=3).filter(any),
    limit=st.sampled_from([None, 1, 20, 45]),
    seed=st.integers(0, 1000),
)
mixes_of_three = pytest.mark.parametrize(
    "mix", ["all poolings", "cls and pooler", "separate", "weighted"]
)


def compare(world: World, counts: list[int], limit: int | None, seed: int) -> None:
    world.step(world.batch(counts, limit, seed))
    whole = world.batch(counts, None, seed)
    assert_rows_close(world.jacobian.J, world.separate(whole)[1])


@mixes_of_three
@settings(max_examples=4)
@any_batch
def test_any_counts_and_any_micro_batches(
    mix: str, tiny_encoder: MakeEncoder, random_split: Split, **drawn: Any
) -> None:
    compare(World(MIXES[mix], tiny_encoder(), random_split), **drawn)


@pytest.mark.slow
@mixes_of_three
@settings(max_examples=50)
@any_batch
def test_many_counts_and_many_micro_batches(
    mix: str, tiny_encoder: MakeEncoder, random_split: Split, **drawn: Any
) -> None:
    compare(World(MIXES[mix], tiny_encoder(), random_split), **drawn)


@pytest.mark.quick("None")
@pytest.mark.parametrize("limit", [None, 30])
def test_steps_with_different_tasks_leave_nothing_behind(
    limit: int | None, tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    """A row or part of J that an earlier step filled must not show in a later one."""
    weights = [1.0, 2.0, 0.5]
    world = World([SST, QUORA, STS], tiny_encoder(), random_split, weights)
    encoder = world.model.encoder
    assert encoder.pooler is not None
    present = [
        [3, 3, 3], [0, 3, 0], [3, 0, 3], [1, 1, 0], [0, 0, 2], [2, 0, 0], [3, 3, 3], [0, 2, 4],
    ]  # fmt: skip
    for number, counts in enumerate(present):
        batch = world.batch(counts, limit, seed=number)
        record = world.step(batch, number)
        J = world.separate(batch)[1]
        assert batch.present == tuple(i for i, count in enumerate(counts) if count)
        assert_rows_close(world.jacobian.J, J)
        assert record.gramian is not None
        assert record.gramian.shape == (len(J), len(J))
        raw = J.double() @ J.double().t()
        torch.testing.assert_close(record.gramian, raw, rtol=1e-4, atol=1e-5 * float(raw.max()))
        w = 0.7 * torch.arange(1.0, len(J) + 1) * torch.tensor(weights)[list(batch.present)]
        assert_rows_close(world.written()[None], (w @ J)[None])
        assert (encoder.pooler.weight.grad is None) is (counts[1] == 0)
        for task, count in zip(world.tasks, counts, strict=True):
            for parameter in world.model.heads[task.name].parameters():
                assert (parameter.grad is None) is (count == 0)


def test_a_task_that_does_not_touch_the_pooler_has_zeros_there(
    tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    world = World([SST, QUORA, STS], tiny_encoder(), random_split)
    world.step(world.batch())
    sizes = [p.numel() for p in world.columns()]
    pooler = world.model.encoder.pooler
    assert pooler is not None
    at = [i for i, p in enumerate(world.columns()) if p is pooler.weight or p is pooler.bias]
    parts = world.jacobian.J.split(sizes, dim=1)
    for i in at:
        assert [bool(row.any()) for row in parts[i]] == [False, True, False]


def test_words_of_one_task_alone_are_zero_in_the_others_row(
    tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    """The table's gradient stands at the step's own tokens, whichever step it is."""
    world = World([SST, STS], tiny_encoder(), random_split)
    for number in range(3):
        batch = world.batch([1, 1], seed=number)
        world.step(batch, number)
        table = world.jacobian.J[:, -world.columns()[-1].numel() :].unflatten(1, (-1, 8))
        (micro,) = batch.passes
        assert isinstance(micro.inputs, PackedBatch)
        for row, (start, stop) in zip(table, micro.inputs.task_tokens, strict=True):
            used = set(micro.inputs.input_ids[start:stop].tolist())
            assert {i for i, vector in enumerate(row) if vector.any()} == used
        grad = world.columns()[-1].grad
        assert grad is not None
        seen = set(micro.inputs.input_ids.tolist())
        assert {i for i, vector in enumerate(grad) if vector.any()} == seen


@pytest.mark.parametrize(
    "frozen", ["embeddings", "layers.0", "pooler", "embeddings.word", "layers.1.output_norm"]
)
def test_frozen_parameters_stay_out(
    frozen: str, tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    encoder = tiny_encoder()
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad_(not name.startswith(frozen))
    world = World([SST, QUORA], encoder, random_split)
    batch = world.batch()
    world.step(batch)
    encoder.requires_grad_(True)
    J = world.separate(batch)[1].split([p.numel() for p in world.columns()], dim=1)
    names = {id(p): name for name, p in encoder.named_parameters()}
    kept = [not names[id(p)].startswith(frozen) for p in world.columns()]
    expected = torch.cat([part for part, keep in zip(J, kept, strict=True) if keep], dim=1)
    assert_rows_close(world.jacobian.J, expected)
    for parameter, keep in zip(world.columns(), kept, strict=True):
        assert (parameter.grad is not None) is keep


@pytest.mark.parametrize("clip", [0.0, 1e-3])
def test_joint_equals_the_gradient_of_the_sum(
    clip: float, tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    """One row for all tasks: what a plain loop without surgery would compute."""
    world = World([SST, QUORA, STS, COSINE], tiny_encoder(), random_split, joint=True, clip=clip)
    for number, counts in enumerate([[3, 2, 3, 1], [0, 2, 1, 1], [2, 0, 0, 3]]):
        batch = world.batch(counts, 40, seed=number)
        record = world.step(batch, number)
        total = world.separate(batch)[1].sum(0)
        assert record.gramian is None or len(record.gramian) == 1
        if clip:
            total *= clip / record.gradient_norm
        assert_rows_close(world.written()[None], total[None])


@pytest.mark.parametrize("mix", MIXES)
def test_bfloat16_is_close(mix: str, tiny_encoder: MakeEncoder, random_split: Split) -> None:
    world = World(MIXES[mix], tiny_encoder(), random_split, matmul=MatmulPolicy(bfloat16=True))
    batch = world.batch()
    world.step(batch)
    rounded, J = world.jacobian.J, world.separate(batch)[1]
    assert rounded.dtype == torch.float32
    cosines = torch.cosine_similarity(rounded, J)
    assert float(cosines.min()) > 0.98
    assert not torch.equal(rounded, J)
    assert float(((rounded.norm(dim=1) / J.norm(dim=1)) - 1).abs().max()) < 0.1


@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize("mix", ["all poolings", "cls and pooler"])
def test_gradient_checkpointing_gives_the_same_j(
    mix: str, bfloat16: bool, tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    """With dropout on: the recomputed layer draws the masks that it drew before."""
    actual = []
    for checkpointing in (False, True):
        encoder = tiny_encoder(hidden_dropout_prob=0.3, attention_probs_dropout_prob=0.3)
        encoder.gradient_checkpointing = checkpointing
        torch.manual_seed(0)
        world = World(MIXES[mix], encoder, random_split, matmul=MatmulPolicy(bfloat16))
        record = world.step(world.batch(micro_batch_tokens=40))
        actual.append((world.jacobian.J, record.losses))
    assert torch.equal(actual[0][0], actual[1][0])
    assert actual[0][1] == actual[1][1]


def test_dropout_changes_j_by_the_step(tiny_encoder: MakeEncoder, random_split: Split) -> None:
    """And a repeated step repeats it to the bit."""
    world = World([SST, QUORA], tiny_encoder(), random_split)
    world.model.encoder.set_dropout(0.3)
    batch = world.batch()
    actual = []
    for number in (4, 4, 5):
        world.step(batch, number)
        actual.append(world.jacobian.J)
    assert torch.equal(actual[0], actual[1])
    assert not torch.allclose(actual[0], actual[2])
