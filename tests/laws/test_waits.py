"""Where a step waits for a GPU: where it fetches its losses and Gram matrices, and nowhere else."""

from dataclasses import replace

import pytest
from valueless import META, moved, stand_in, waits_once
from worlds import MIXES, QUORA, SEPARATE, SST, STS, MakeEncoder, Split, World

from accord.model.parts import Sharing
from accord.optim.averaging import Averages, trained
from accord.regularisers import regulariser_names
from accord.sharing import scheme_names
from accord.training.regularising import Regularisation

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
