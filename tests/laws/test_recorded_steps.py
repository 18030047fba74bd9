"""Steps of static shapes that are recorded: run again, they change no bit."""

import copy
import gc
import weakref
from collections.abc import Callable

import numpy as np
import pytest
import torch
from tape import TapeGraphs
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from worlds import (
    COSINE,
    MIXES,
    QUORA,
    SST,
    STS,
    MakeEncoder,
    Split,
    World,
)

from accord.data.loader import Assembler
from accord.data.sources import each_alone
from accord.data.tokenizing import SpecialIds
from accord.encoders.packing import TokenSequence
from accord.kernels.recorder import Recorder
from accord.optim.adamw import AdamW, parameter_groups
from accord.training.halves import half_cosines
from accord.training.measurement import NotFinite
from accord.training.nonfinite import blame
from accord.training.observers import LookBack

Sequences = Callable[..., list[TokenSequence]]


def trained(world: World, steps: int, recorder: Recorder) -> list[object]:
    """Everything that some steps leave, with dropout, of batches of several sizes."""
    named = [(world.model.encoder.named_parameters(), 1e-3)]
    named += [(world.model.heads.named_parameters(), 1e-2)]
    learner = world.learner
    learner.optimizer = AdamW(parameter_groups(named, 0.01), lr=1e-3)
    learner.recorder, learner.clip = recorder, 1.0
    world.model.encoder.set_dropout(0.2)
    records = []
    for step in range(steps):
        # The step without the second task is recorded before its pooler was ever trained.
        counts = [[3, 0, 3], [3, 3, 3], [3, 0, 3], [2, 4, 1]][0 if step < 4 else step % 4]
        static = step % 7 != 6  # between them come steps that can't be static
        records.append(world.step(world.batch(counts, seed=step, static=static), step))
    return copy.deepcopy([
        [p.detach() for p in world.model.parameters()], learner.optimizer.state_dict()["state"],
        [(each.losses, each.gradient_norm) for each in records],
    ])  # fmt: skip


@pytest.mark.usefixtures("small_sizes")
@pytest.mark.parametrize("joint", [False, True], ids=["per-task", "joint"])
@pytest.mark.parametrize(
    "tasks", [[SST, QUORA, STS], [COSINE, QUORA, SST]], ids=["poolings", "cosine"]
)
def test_a_recorded_step_changes_no_bit(
    tasks: list, joint: bool, tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    actual = []
    graphs = TapeGraphs()
    for recorder in (Recorder(), Recorder(graphs), Recorder(TapeGraphs(), limit=2)):
        torch.manual_seed(0)
        world = World(tasks, tiny_encoder(), random_split, joint=joint)
        actual.append(trained(world, 44, recorder))
        assert bool(recorder.recorded) is (recorder.graphs is not None)
    plain, recorded, few = actual
    assert graphs.runs > 24
    assert same(recorded, plain)
    assert same(few, plain)


@pytest.mark.usefixtures("small_sizes")
@pytest.mark.parametrize("joint", [False, True], ids=["per-task", "joint"])
def test_layers_that_are_computed_twice_change_no_bit(
    joint: bool, tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    """With dropout: the second time has the masks of the first, in a recording too."""
    actual, graphs, applied = [], TapeGraphs(), []
    for again, recorder in ((False, Recorder()), (True, Recorder()), (True, Recorder(graphs))):
        torch.manual_seed(0)
        world = World([SST, QUORA, STS], tiny_encoder(), random_split, joint=joint)
        world.model.encoder.gradient_checkpointing = again
        block = world.model.encoder.layers[0]
        block.register_forward_pre_hook(lambda *_: applied.append(1))
        actual.append(trained(world, 30, recorder))
        applied.append(0)
    plain, twice, recorded = actual
    assert graphs.runs > 12
    assert same(twice, plain)
    assert same(recorded, plain)
    counts = [sum(run) for run in split_at_zeros(applied)]
    assert counts[1] == 2 * counts[0]


def split_at_zeros(marks: list[int]) -> list[list[int]]:
    """Return what stands before each 0.

    Example:
        >>> split_at_zeros([1, 1, 0, 1, 0])
        [[1, 1], [1]]
    """
    ends = [i for i, mark in enumerate(marks) if mark == 0]
    return [marks[start:end] for start, end in zip([0, *(e + 1 for e in ends)], ends, strict=False)]


@pytest.mark.slow
@pytest.mark.parametrize("mix", MIXES)
def test_every_mix_of_tasks_can_be_recorded(
    mix: str, tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    worlds = []
    for recorder in (Recorder(), Recorder(TapeGraphs())):
        torch.manual_seed(0)
        world = World(MIXES[mix], tiny_encoder(), random_split)
        world.learner.recorder = recorder
        worlds.append([world.step(world.batch(seed=step, static=True)) for step in range(6)])
        assert (recorder.recorded >= 3) is (recorder.graphs is not None)
    for one, other in zip(*worlds, strict=True):
        assert one.losses == other.losses
        assert same(one.gramian, other.gramian)


class Operations(TorchDispatchMode):
    """Counts what the host has torch do."""

    count = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):  # type: ignore
        self.count += 1
        return function(*arguments, **(options or {}))


class Silent(TapeGraphs):
    """Does nothing when it is to do work again: what the host does around it is left."""

    def record(self, work):  # type: ignore[no-untyped-def]
        return work(), lambda: None


def test_what_the_host_does_around_recordings_does_not_grow_with_the_encoder(
    tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    counts = []
    for layers in (1, 4):
        world = World([SST, STS], tiny_encoder(num_hidden_layers=layers), random_split)
        world.learner.recorder = Recorder(Silent())
        batch = world.batch(static=True)
        for _ in range(3):
            world.step(batch)
        with Operations() as operations:
            world.step(batch)
        counts.append(operations.count)
    assert counts[0] == counts[1] > 0


def test_masks_follow_from_the_step_alone(tiny_encoder: MakeEncoder, random_split: Split) -> None:
    world = World([SST, STS], tiny_encoder(), random_split)
    world.model.encoder.set_dropout(0.3)
    world.learner.recorder = Recorder(TapeGraphs())
    batch = world.batch(static=True)
    losses = [world.step(batch, number).losses for number in (5, 6, 5, 7, 6)]  # at rate 0
    assert losses[0] == losses[2]
    assert losses[1] == losses[4]
    assert len({one["sst"] for one in losses}) == 3


def test_a_pass_taken_again_has_the_step_s_masks(
    tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    world = World([SST, STS], tiny_encoder(), random_split)
    world.model.encoder.set_dropout(0.3)
    batch, seen = world.batch(static=True), []
    learner = world.learner
    learner.combination.learn = lambda before, after, present: seen.append((before, after))  # type: ignore[method-assign]
    learner.observers = [LookBack(world.objective, learner.combination)]
    for number in (3, 4):
        learner.step(number, batch, 1.0)  # at rate 0
    for before, after in seen:
        torch.testing.assert_close(after, before, rtol=1e-6, atol=0)
    assert not torch.allclose(seen[0][0], seen[1][0])


class Spoilt(torch.autograd.Function):
    """The same value, with a gradient that isn't finite."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> Tensor:
        return grad * torch.inf


@pytest.mark.parametrize("recorded", [False, True], ids=["as-it-is", "recorded"])
@pytest.mark.parametrize("spoilt", ["gradient", "loss"])
def test_what_is_not_finite_has_the_name_of_its_task(
    spoilt: str, recorded: bool, tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    world = World([SST, QUORA, STS], tiny_encoder(), random_split)
    world.model.encoder.set_dropout(0.2)
    world.learner.recorder = Recorder(TapeGraphs() if recorded else None)
    head = world.model.heads["quora"]
    plain, change = head.forward, {"gradient": Spoilt.apply, "loss": lambda x: x / 0}[spoilt]
    head.forward = lambda x, *more: plain(change(x), *more)  # type: ignore[method-assign]
    batch = world.batch(static=True)
    for _ in range(3):
        with pytest.raises(NotFinite) as caught:
            world.step(batch, 4)
        losses = caught.value.measured.losses.isfinite()
        assert losses.tolist() == [True, spoilt == "gradient", True]
        blamed = blame(world.learner, caught.value, batch)
        assert str(blamed).startswith(f"step 5: the {spoilt} of quora is not finite")
        assert blamed.rows == {"quora": batch.rows[1].tolist()}
    assert bool(world.learner.recorder.recorded) is recorded


def test_a_step_that_can_t_be_recorded_names_its_size(
    tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    class Full(TapeGraphs):
        def record(self, work: Callable[[], object]) -> None:  # type: ignore[override]
            raise torch.OutOfMemoryError("no memory while capturing")

    world = World([SST, STS], tiny_encoder(), random_split)
    world.learner.recorder = Recorder(Full())
    batch = world.batch(static=True)  # 3 sequences and a filler a task, and 8 more fillers
    world.step(batch)
    with pytest.raises(torch.OutOfMemoryError, match="while capturing") as caught:
        world.step(batch)
    assert caught.value.__notes__ == [
        "while a pass of 256 tokens, fillers counted, in 16 sequences of at most 32 was recorded"
        " as a CUDA graph"
    ]


def test_recordings_write_into_the_matrix_that_is_there(
    tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    """Halves ask for twice as many rows: reserved before, or else what was recorded is dropped."""
    for reserved in (4, 0):
        world = World([SST, STS], tiny_encoder(), random_split)
        learner = world.learner
        learner.recorder, learner.most_rows = Recorder(TapeGraphs()), reserved
        batch = world.batch(static=True)
        for _ in range(3):  # as it is, passes recorded, combination and update
            world.step(batch)
        before = weakref.ref(world.jacobian.matrix)
        assert learner.recorder.kept == 3
        halves(world)
        assert learner.recorder.kept == (3 if reserved else 0)
        gc.collect()
        assert (before() is world.jacobian.matrix) is bool(reserved)
        records = [world.step(batch) for _ in range(3)]
        assert all(same(each.gramian, records[0].gramian) for each in records)


def halves(world: World) -> None:
    """Ask for the cosines of halves of a batch, as a run does between two steps."""
    sources, drawn = each_alone(world.data), [np.arange(4)] * len(world.data)
    assembler = Assembler(SpecialIds(1, 2, 0), 24)
    assert len(half_cosines(world.learner, drawn, sources, assembler, 7)) == len(sources)


def test_recordings_that_are_dropped_keep_no_memory(
    tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    world = World([SST, STS], tiny_encoder(), random_split)
    world.learner.recorder = Recorder(TapeGraphs(), limit=3)
    steps = []
    for number in range(30):
        counts = [1 + number // 3 % 5, 2]
        world.step(world.batch(counts, seed=number, static=True), number)
        steps.append(weakref.ref(world.jacobian.step))
    gc.collect()
    assert sum(step() is not None for step in steps) <= 4


def same(one: object, other: object) -> bool:
    """Whether all is equal to the bit."""
    if isinstance(one, Tensor):
        return torch.equal(one, other)  # type: ignore[arg-type]
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)  # type: ignore
    if isinstance(one, list | tuple):
        return all(same(a, b) for a, b in zip(one, other, strict=True))  # type: ignore[call-overload]
    return one == other
