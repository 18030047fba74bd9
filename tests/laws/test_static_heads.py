"""Heads on a frozen encoder's vectors, in steps of static shapes: the same, recorded or not."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from tape import TapeGraphs
from torch import Tensor
from worlds import COSINE, ORDERED, SEPARATE, SETS, SST, STS, MakeEncoder, Split, World

from accord.data.batches import StepBatch
from accord.data.loader import Assembler
from accord.data.sources import each_alone
from accord.data.tokenizing import SpecialIds
from accord.encoders.units import Units
from accord.evaluation.inputs import Pooled
from accord.evaluation.packed import packed_inputs
from accord.evaluation.pooling import encoded
from accord.kernels.recorder import Recorder
from accord.optim.adamw import AdamW, parameter_groups
from accord.pertask.jacobian import Jacobian
from accord.training.frozen import feature_batch
from accord.training.measurement import NotFinite
from accord.training.nonfinite import blame

TASKS = [SST, replace(STS, targets="popart"), ORDERED, SETS, SEPARATE, COSINE]


class Heads:
    """A world whose encoder stands still, and its vectors."""

    def __init__(self, encoder: object, split: Split, recorder: Recorder, dropout: float) -> None:
        torch.manual_seed(0)
        tasks = [replace(task, dropout=dropout) for task in TASKS]
        self.world = World(tasks, encoder, split)  # type: ignore[arg-type]
        model, learner = self.world.model, self.world.learner
        model.encoder.requires_grad_(False)
        assembler = Assembler(SpecialIds(1, 2, 0), 24)
        examples = [assembler.examples(data, np.arange(8)) for data in self.world.data]
        pooled = encoded(model, packed_inputs(model, examples))
        self.features = [
            replace(pooled[i], vectors=pooled[i].vectors.clone()) for i in range(len(tasks))
        ]
        learner.jacobian, learner.recorder, learner.clip = Jacobian(()), recorder, 0.5
        named = [(model.heads.named_parameters(), 1e-2)]
        learner.optimizer = AdamW(parameter_groups(named, 0.01), lr=1e-2)
        model.train()

    def batch(self, step: int, static: bool) -> StepBatch:
        rng = np.random.default_rng(step)
        counts = [[4, 3, 2, 4, 3, 2], [3, 0, 3, 3, 0, 3]][step % 2]
        drawn = [rng.permutation(8)[:count] for count in counts]
        return feature_batch(drawn, each_alone(self.world.data), self.features, static)

    def trained(self, static: bool, steps: int = 14) -> list[object]:
        """All that some steps leave."""
        records = [self.world.step(self.batch(step, static), step) for step in range(steps)]
        losses = [(each.losses, each.gradient_norm) for each in records]
        heads = self.world.model.heads.state_dict()
        return [losses, copy.deepcopy(heads)]


def test_static_steps_are_the_others(tiny_encoder: MakeEncoder, random_split: Split) -> None:
    plain, static = (
        Heads(tiny_encoder(), random_split, Recorder(), 0.0).trained(each) for each in (False, True)
    )
    torch.testing.assert_close(static, plain, rtol=1e-4, atol=1e-5)


def test_recorded_they_are_the_same_to_the_bit(
    tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    """With dropout: the masks follow from the step alone."""
    recorder = Recorder(TapeGraphs())
    plain = Heads(tiny_encoder(), random_split, Recorder(), 0.3).trained(True)
    recorded = Heads(tiny_encoder(), random_split, recorder, 0.3).trained(True)
    torch.testing.assert_close(recorded, plain, rtol=0, atol=0)
    assert recorder.met["passes"].again == 14 - 2 * 2  # two sizes, each first run and then recorded
    assert recorder.met["update"].again > 0
    assert recorder.met["write"].again > 0


def test_a_head_s_fault_has_its_name(tiny_encoder: MakeEncoder, random_split: Split) -> None:
    heads = Heads(tiny_encoder(), random_split, Recorder(TapeGraphs()), 0.3)
    learner = heads.world.learner
    heads.features[2].vectors[:] = torch.nan
    batch = heads.batch(0, True)
    for _ in range(3):
        with pytest.raises(NotFinite) as caught:
            learner.step(4, batch, 1.0)
        error = blame(learner, caught.value, batch)
        assert str(error).startswith("step 5: the loss of ordered is not finite")
        assert error.rows == {"ordered": batch.rows[2].tolist()}


def test_vectors_of_varying_numbers_are_not_static(random_split: Split) -> None:
    """How many words or candidates a row has differs from row to row."""
    data = [random_split(SST, 2)]
    sizes = np.array([2, 1])
    units = Units(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0]), torch.from_numpy(sizes), sizes)
    for given, fixed in ((None, True), (units, False)):
        counts = np.array([1, 1]) if given is None else sizes
        features = [Pooled(torch.zeros(int(counts.sum()), 4), counts, given)]
        batch = feature_batch([np.arange(2)], each_alone(data), features, True)
        assert batch.is_static is fixed
        assert not feature_batch([np.arange(2)], each_alone(data), features).is_static


def test_sizes_are_told_apart(tiny_encoder: MakeEncoder, random_split: Split) -> None:
    heads = Heads(tiny_encoder(), random_split, Recorder(), 0.0)
    one, other, again = (heads.batch(step, True) for step in (0, 1, 2))
    assert one.size == again.size
    assert one.size != other.size
    assert one.described == "23 vectors of 6 tasks"  # 13, and two for each of 5 pairs apart
    held: dict[str, Tensor] = {name: torch.zeros_like(each) for name, each in one.tensors.items()}
    zero = one.holding(held)
    assert zero.size == one.size
    assert not any(bool(each.any()) for each in zero.tensors.values())
