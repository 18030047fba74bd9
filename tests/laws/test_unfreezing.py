"""Gradual unfreezing: what is frozen at a step has no gradient and no part in J and G."""

from typing import Any

import pytest
import torch
from torch import Tensor
from worlds import QUORA, SST, STS, MakeEncoder, Split, World, assert_rows_close

from accord.gradients import get_method
from accord.model.multitask import HARD
from accord.model.parts import Sharing
from accord.training.combining import Combination
from accord.training.unfreezing import Unfreezing, without_gradients

TASKS = [SST, QUORA, STS]
STEPS = 6  # with two layers, one more group is thawed at steps 0, 2 and 4
LORA = Sharing(("lora",), {"lora": {"rank": 2}})


@pytest.fixture
def make(tiny_encoder: MakeEncoder, random_split: Split) -> Any:
    def world(sharing: Sharing = HARD, checkpointing: bool = False, **ours: object) -> World:
        torch.manual_seed(0)
        made = World(TASKS, tiny_encoder(), random_split, sharing=sharing, **ours)
        made.model.encoder.gradient_checkpointing = checkpointing
        made.objective.unfreezing = Unfreezing.of(made.model, STEPS)
        return made

    return world


def depth(name: str) -> int:
    """How many groups are thawed before a parameter's."""
    if "embeddings." in name:
        return 2
    return 0 if name.startswith("pooler") or ".1." in f".{name}" else 1


def thawed_columns(world: World, step: int) -> Tensor:
    names = {id(p): name for name, p in world.model.encoder.named_parameters()}
    return torch.cat([
        torch.full((p.numel(),), depth(names[id(p)]) <= step // 2) for p in world.columns()
    ])  # fmt: skip


@pytest.mark.quick("per-task-kept-lora", "joint-kept-hard")
@pytest.mark.parametrize("sharing", [HARD, LORA], ids=["hard", "lora"])
@pytest.mark.parametrize(
    "checkpointing",
    [False, pytest.param(True, marks=pytest.mark.slow)],
    ids=["kept", "recomputed"],
)
@pytest.mark.parametrize("joint", [False, True], ids=["per-task", "joint"])
def test_j_holds_what_is_thawed_and_nothing_else(
    make: Any, sharing: Sharing, checkpointing: bool, joint: bool
) -> None:
    world = make(sharing, checkpointing, joint=joint)
    for step in (4, 0, 3, 5, 1, 2):  # what an earlier step filled doesn't show in a later one
        batch = world.batch(seed=step)
        record = world.step(batch, step)
        _, J = world.separate(batch)
        kept = thawed_columns(world, step)
        if joint:
            assert_rows_close(world.written()[None], (J.sum(0) * kept)[None])
        else:
            assert_rows_close(world.jacobian.J, J * kept)
            double = (J * kept).double()
            torch.testing.assert_close(record.gramian, double @ double.t(), rtol=1e-4, atol=1e-4)
        for name, parameter in world.model.encoder.named_parameters():
            assert parameter.requires_grad
            assert (parameter.grad is None) is (depth(name) > step // 2), name


def test_new_parts_below_frozen_layers_learn_from_the_first_step(make: Any) -> None:
    world = make(LORA)
    batch = world.batch()
    world.step(batch, 0)
    losses, _ = world.separate(batch)
    for i, loss in enumerate(losses):
        own_parameters = world.model.own_parameters(i)
        wanted = torch.autograd.grad(loss, own_parameters, retain_graph=True)
        for parameter, gradient in zip(own_parameters, wanted, strict=True):
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-6)


def test_copies_thaw_with_the_layers_that_they_replace(make: Any) -> None:
    world = make(Sharing(("own-layers",), {"own-layers": {"shared": 0}}))
    for step in range(STEPS):
        world.step(world.batch(), step)
        for name, parameter in world.model.named_parameters():
            if "own-layers" in name:
                last = ".own-layers.1." in name
                assert (parameter.grad is None) is (not last and step < 2), name


def test_steps_in_which_nothing_shared_is_thawed_yet(make: Any) -> None:
    """As where the upper layers are copies: J is empty, and a method sees zeros."""
    world = make(Sharing(("own-layers",), {"own-layers": {"shared": 1}}), clip=1e-3)
    world.model.encoder.pooler.requires_grad_(False)
    for name in ("graddrop", "cagrad"):
        world.learner.combination = Combination.of(TASKS, get_method(name))
        record = world.step(world.batch(), 0)
        assert record.gramian is not None
        assert not bool(record.gramian.any())
        assert record.gradient_norm > 1e-3
        assert all(p.grad is None for p in world.model.encoder.parameters())


def test_frozen_layers_cost_no_backward_pass(make: Any) -> None:
    world = make()
    tracked: list[bool] = []
    for layer in world.model.encoder.layers:
        layer.register_forward_hook(lambda *given: tracked.append(given[-1].requires_grad))
    for step in (0, 2, 4):
        world.step(world.batch(), step)
    assert tracked == [False, True, True, True, True, True]


@pytest.mark.parametrize("layers", [1, 2, 12])
@pytest.mark.parametrize("steps", [0.3, 1, 7.2, 100])
def test_all_is_thawed_when_the_share_of_the_run_is_over(layers: int, steps: float) -> None:
    unfreezing = Unfreezing([[]] * (layers + 1), steps)
    counts = [unfreezing.thawed(step) for step in range(int(steps) + 2)]
    assert counts[0] == 1
    assert counts == sorted(counts)
    assert counts[-1] == layers + 1


def test_an_error_in_a_step_leaves_nothing_frozen() -> None:
    one, other = torch.nn.Parameter(torch.ones(1)), torch.nn.Parameter(torch.ones(1))
    other.requires_grad_(False)

    def fail() -> None:
        with without_gradients([one, other]):
            assert not one.requires_grad
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert one.requires_grad
    assert not other.requires_grad
