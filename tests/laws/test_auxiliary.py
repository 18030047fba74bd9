"""Tasks without labels in a step: J is still what one backward pass a task gives."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from worlds import CPU, QUORA, SST, MakeEncoder, Split, World, assert_rows_close

from accord.data.batches import StepBatch, step_batch
from accord.data.loader import Assembler
from accord.data.sources import each_alone
from accord.data.tokenizing import SpecialIds
from accord.encoders.packing import PackedBatch
from accord.kernels.dropout import DropoutKey
from accord.kinds.masked_lm import MaskedLMTask
from accord.kinds.simcse import SimCSETask
from accord.training.halves import half_cosines

WORDS = MaskedLMTask("words", "masked-lm", "masked_lm", "likelihood", pooling="masked")
MORE = replace(WORDS, name="more", mask_share=0.4)
ALIKE = SimCSETask("alike", "simcse", "info_nce", "likelihood", pooling="cls")
MEANS = replace(ALIKE, name="means", pooling="mean")
MIXES = {
    "words": [WORDS],
    "words beside labels": [SST, WORDS, QUORA],
    "two sets of words": [WORDS, MORE],
    "alike": [ALIKE],
    "alike beside labels": [ALIKE, SST],
    "everything": [QUORA, MEANS, WORDS, ALIKE, SST],
}
ASSEMBLER = Assembler(SpecialIds(1, 2, 0, 4), 24, vocabulary=37)
each_mix = pytest.mark.parametrize("mix", MIXES)


def drawn_batch(world: World, limit: int | None = None, step: int = 0, count: int = 5) -> StepBatch:
    rows = [np.arange(count) for _ in world.tasks]
    return step_batch(rows, each_alone(world.data), ASSEMBLER, CPU, limit, key=(0, step))


def separate(world: World, batch: StepBatch, step: int = 0) -> tuple[list[Tensor], Tensor]:
    """Losses, and J [T, P] by one autograd pass for each task."""
    losses = [torch.zeros(()) for _ in batch.present]
    for number, micro in enumerate(batch.passes):
        assert isinstance(micro.inputs, PackedBatch)
        key, words = DropoutKey(0, step, number), micro.inputs.words
        pooled = world.model.pooled(micro.inputs, batch.present, key=key)
        parts = world.model.losses(pooled, micro.targets, batch.present, key, words)
        for row, part in enumerate(parts):
            losses[row] = losses[row] + part.sum() / len(batch.rows[row])
    rows = []
    for loss in losses:
        actual = torch.autograd.grad(loss, world.columns(), retain_graph=True, allow_unused=True)
        pairs = zip(world.columns(), actual, strict=True)
        rows.append(torch.cat([
            (torch.zeros_like(p) if grad is None else grad).flatten() for p, grad in pairs
        ]))  # fmt: skip
    return losses, torch.stack(rows)


@each_mix
@pytest.mark.parametrize("p", [0.0, 0.3])
def test_one_backward_pass_is_one_for_each_task(
    mix: str, p: float, tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    world = World(MIXES[mix], tiny_encoder(), random_split)
    world.model.encoder.set_dropout(p)
    batch = drawn_batch(world)
    record = world.step(batch)
    losses, J = separate(world, batch)
    assert_rows_close(world.jacobian.J, J)
    w = 0.7 * torch.arange(1.0, len(J) + 1)
    assert_rows_close(world.written()[None], (w @ J)[None])
    for loss, task in zip(losses, world.tasks, strict=True):
        assert record.losses[task.name] == pytest.approx(loss.item(), rel=1e-5)
        for parameter, each in zip(
            world.model.heads[task.name].parameters(),
            torch.autograd.grad(
                loss, list(world.model.heads[task.name].parameters()), retain_graph=True
            ) if list(world.model.heads[task.name].parameters()) else (),
            strict=True,
        ):  # fmt: skip
            torch.testing.assert_close(parameter.grad, each, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("joint", [False, True], ids=["per-task", "joint"])
@pytest.mark.parametrize("mix", ["words", "words beside labels", "two sets of words"])
def test_passes_change_neither_words_nor_gradients(
    mix: str, joint: bool, tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    actual = []
    for limit in (None, 20):
        torch.manual_seed(0)
        world = World(MIXES[mix], tiny_encoder(), random_split, joint=joint)
        batch = drawn_batch(world, limit)
        assert (len(batch.passes) > 1) is (limit is not None)
        record = world.step(batch)
        told = [
            micro.inputs.words[place].ids for place in range(len(world.tasks))
            for micro in batch.passes
            if isinstance(micro.inputs, PackedBatch) and place in micro.inputs.words
        ]  # fmt: skip
        actual.append((torch.cat(told), world.jacobian.J, record.losses))
    (words, J, losses), (others, again, more) = actual
    assert torch.equal(words, others)
    assert_rows_close(again, J)
    assert more == pytest.approx(losses, rel=1e-5)


def test_the_word_table_learns_from_both_sides(
    tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    """As what is read it learns at the step's own words; as what tells words, at all of them."""
    world = World([SST, WORDS], tiny_encoder(), random_split)
    batch = drawn_batch(world)
    world.step(batch)
    word = world.model.encoder.embeddings.word
    labelled, told = world.jacobian.J[:, -word.numel() :].unflatten(1, (-1, word.shape[1]))
    (micro,) = batch.passes
    assert isinstance(micro.inputs, PackedBatch)
    start, stop = micro.inputs.task_tokens[0]
    read = set(micro.inputs.input_ids[start:stop].tolist())
    assert {i for i, each in enumerate(labelled) if each.any()} == read
    assert bool(told.any(1).all())
    assert word.grad is not None
    # A later step without such a task leaves nothing of this one behind.
    plain = step_batch([np.arange(3), np.arange(0)], each_alone(world.data), ASSEMBLER, CPU)
    world.step(plain, 1)
    assert len(world.jacobian.step._table.ids) == len(plain.token_ids.unique())
    seen = set(plain.token_ids.tolist())
    assert {i for i, each in enumerate(word.grad) if each.any()} == seen


@each_mix
def test_steps_hide_other_words_and_repeat_to_the_bit(
    mix: str, tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    world = World(MIXES[mix], tiny_encoder(), random_split)
    world.model.encoder.set_dropout(0.3)
    actual = []
    for step in (4, 4, 5):
        world.step(drawn_batch(world, step=step), step)
        actual.append(world.jacobian.J)
    assert torch.equal(actual[0], actual[1])
    assert not torch.allclose(actual[0], actual[2])


@pytest.mark.parametrize("mix", ["words beside labels", "alike beside labels"])
def test_halves_have_words_of_their_own(
    mix: str, tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    world = World(MIXES[mix], tiny_encoder(), random_split)
    world.model.encoder.set_dropout(0.3)
    rows = [np.arange(6) for _ in world.tasks]
    actual = half_cosines(world.learner, rows, each_alone(world.data), ASSEMBLER, 0)
    assert actual.keys() == {task.name for task in world.tasks}
    assert all(0 < abs(each) < 1 for each in actual.values())
