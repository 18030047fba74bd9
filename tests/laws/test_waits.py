"""Where a step waits for a GPU: where it fetches its losses and Gram matrices, and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from valueless import META, ONCE, Copies, moved, stand_in, waits_once
from worlds import MIXES, QUORA, SEPARATE, SST, STS, MakeEncoder, Split, World

from accord.data.loader import Assembler
from accord.data.tokenizing import SpecialIds
from accord.evaluation.inference import fetched, group_outputs
from accord.evaluation.packed import packed_inputs
from accord.evaluation.pooling import encoded
from accord.model.head_blocks import HeadBlocks
from accord.model.parts import Sharing
from accord.optim.averaging import Averages, trained
from accord.regularisers import regulariser_names
from accord.sharing import scheme_names
from accord.training.regularising import Regularisation

ASSEMBLER = Assembler(SpecialIds(1, 2, 0), 24)
SMALL = {
    "lora": {"rank": 2}, "adapter": {"size": 3}, "pal": {"size": 4, "heads": 2},
    "own-layers": {"shared": 1},
}  # fmt: skip


@pytest.fixture
def fetches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    return stand_in(monkeypatch)


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("joint", [False, True])
def test_a_step_of_several_tasks_waits_once(
    mix: str, joint: bool, tiny_encoder: MakeEncoder, random_split: Split, fetches: list[int]
) -> None:
    world = World(MIXES[mix], tiny_encoder(), random_split, joint=joint)
    batch = world.batch(micro_batch_tokens=40)
    waits_once(moved(world), batch, fetches)


@pytest.mark.parametrize("mix", MIXES)
def test_a_static_step_waits_once(
    mix: str, tiny_encoder: MakeEncoder, random_split: Split, fetches: list[int]
) -> None:
    world = World(MIXES[mix], tiny_encoder(), random_split)
    batch = world.batch(static=True)
    assert batch.static is not None
    waits_once(moved(world), batch, fetches)


@pytest.mark.parametrize("name", scheme_names())
def test_a_step_with_parts_waits_once(
    name: str, tiny_encoder: MakeEncoder, random_split: Split, fetches: list[int]
) -> None:
    world = World(
        [SST, SEPARATE, STS, QUORA], tiny_encoder(), random_split, sharing=Sharing((name,), SMALL)
    )
    batch = world.batch()
    waits_once(moved(world), batch, fetches)


@pytest.mark.parametrize("name", regulariser_names())
def test_a_step_with_regularisers_and_averages_waits_once(
    name: str, tiny_encoder: MakeEncoder, random_split: Split, fetches: list[int],
) -> None:  # fmt: skip
    world = World([SST, QUORA, SEPARATE], tiny_encoder(), random_split)
    batch = world.batch()
    moved(world)
    world.objective.regularisation = Regularisation.of(world.model, [name], {})
    world.learner.averages = Averages(trained(world.model.named_parameters()), decay=0.9)
    waits_once(world, batch, fetches)


def test_the_moving_scale_of_a_regression_is_followed_without_a_wait(
    tiny_encoder: MakeEncoder, random_split: Split, fetches: list[int]
) -> None:
    world = World([replace(STS, targets="popart"), SST], tiny_encoder(), random_split)
    batch = world.batch()
    waits_once(moved(world), batch, fetches)


def test_a_value_that_is_asked_for_fails_here(
    tiny_encoder: MakeEncoder, random_split: Split, fetches: list[int]
) -> None:
    world = World([SST, STS], tiny_encoder(), random_split)
    batch = world.batch()
    moved(world).learner.observers = [lambda taken: float(taken.batch.targets[0].sum())]
    with pytest.raises(RuntimeError, match="meta"):
        world.learner.step(1, batch.to(META), 1.0)


@pytest.mark.parametrize("mix", MIXES)
def test_answers_are_fetched_in_one_wait(
    mix: str, tiny_encoder: MakeEncoder, random_split: Split, fetches: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Passes and heads don't wait, however many they are."""
    world = World(MIXES[mix], tiny_encoder(), random_split)
    groups = [ASSEMBLER.examples(data, np.arange(8)) for data in world.data]
    model = world.model.to(META)
    fetched_sizes: list[int] = []

    def cpu(self: Tensor) -> Tensor:
        fetched_sizes.append(self.numel())
        return torch.zeros(self.shape)

    with Copies() as copies:
        pooled = encoded(model, packed_inputs(model, groups, pass_tokens=20))
        blocks = HeadBlocks(model)
        outputs = [group_outputs(model, (i,), each, blocks) for i, each in pooled.items()]
        monkeypatch.setattr(Tensor, "cpu", cpu)
        values = fetched(outputs)
    assert copies.waiting <= ONCE
    assert fetched_sizes == [sum(each.numel() for each in outputs)]
    assert [each.shape for each in values] == [each.shape for each in outputs]


def test_what_is_fetched_together_is_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = [torch.randn(3, 2), torch.randn(0, 4), torch.randn(5, 1, 3)]
    assert fetched(wanted)[0] is wanted[0]

    class There(torch.Tensor):
        """Says that it is elsewhere."""

        device = META  # type: ignore[assignment]

    values = fetched([each.as_subclass(There) for each in wanted])
    for value, each in zip(values, wanted, strict=True):
        assert torch.equal(value.as_subclass(Tensor), each)
