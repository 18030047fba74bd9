"""The training step's edges: what is not finite, clipping, absent tasks, frozen encoders."""

import copy
import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from accord.data.batches import StepBatch, step_batch
from accord.data.loader import Assembler, TaskData
from accord.data.sources import each_alone
from accord.data.tokenizing import SpecialIds
from accord.encoders.families.bert import BertEncoder
from accord.evaluation.inputs import Pooled
from accord.gradients import Method
from accord.kernels.dropout import DropoutKey
from accord.methods import Signals
from accord.model.multitask import MultitaskModel
from accord.model.parts import Sharing
from accord.optim.adamw import AdamW, parameter_groups
from accord.pertask.jacobian import Jacobian
from accord.pertask.step import Step
from accord.tasks import Task
from accord.training.combining import Combination
from accord.training.frozen import feature_batch
from accord.training.measurement import NotFinite
from accord.training.nonfinite import blame
from accord.training.objective import Objective
from accord.training.step import Learner

MakeEncoder = Callable[..., BertEncoder]
Split = Callable[..., TaskData]
TASKS = (
    Task("sst", "classification", "cross_entropy", "accuracy", labels=("a", "b"), pooling="cls"),
    Task("sts", "pair-regression", "mse", "pearson", range=(0.0, 5.0)),
)


def count_steps(signals: Signals, state: dict[str, Tensor], _: object) -> tuple[Tensor, dict]:
    weights = torch.ones(len(signals.losses), dtype=torch.float64)
    return weights, {"steps": state["steps"] + 1}


COUNTING = Method(
    "counting", count_steps, "", ("gramian",), "", "",
    lambda tasks: {"steps": torch.zeros(tasks)}, frozenset(), "sum", ([], []),
)  # fmt: skip


@pytest.fixture
def data(random_split: Split) -> list[TaskData]:
    return [random_split(task, 8, seed) for seed, task in enumerate(TASKS)]


@pytest.fixture
def learner(tiny_encoder: MakeEncoder) -> Learner:
    encoder = tiny_encoder()
    model = MultitaskModel(encoder, TASKS)
    named = [(encoder.named_parameters(), 1e-3), (model.heads.named_parameters(), 1e-2)]
    groups = parameter_groups(named, 0.01)
    return Learner(
        model, AdamW(groups, lr=1e-3), Objective(model, seed=1), Combination.of(TASKS, COUNTING),
        Jacobian(encoder.parameters(), encoder.embeddings.word),
    )  # fmt: skip


def batch(data: list[TaskData], counts: tuple[int, int] = (3, 2)) -> StepBatch:
    drawn = [np.arange(count) for count in counts]
    assembler = Assembler(SpecialIds(1, 2, 0), 32)
    return step_batch(drawn, each_alone(data), assembler, torch.device("cpu"))


def alike(vectors: torch.Tensor, each: int = 1) -> Pooled:
    """As many vectors for every example."""
    return Pooled(vectors, np.full(len(vectors) // each, each))


def everything(learner: Learner) -> list[object]:
    """All that a step changes."""
    return copy.deepcopy([
        [p.detach().clone() for p in learner.model.parameters()],
        learner.optimizer.state_dict()["state"],
        learner.combination.tensors(),
    ])  # fmt: skip


def refused(learner: Learner, step: int, ours: StepBatch) -> str:
    """Why a step was not taken, and whose fault that is."""
    with pytest.raises(NotFinite) as caught:
        learner.step(step, ours, 1.0)
    return str(blame(learner, caught.value, ours))


def steps(learner: Learner) -> Tensor:
    return learner.combination.method.states[0]["steps"]


def all_gradients(learner: Learner) -> Tensor:
    return torch.cat([p.grad.flatten() for p in learner.model.parameters() if p.grad is not None])


def test_a_step_moves_everything(learner: Learner, data: list[TaskData]) -> None:
    before = everything(learner)
    record = learner.step(0, batch(data), 1.0)
    names = dict(learner.model.named_parameters())
    for (name, parameter), old in zip(names.items(), before[0], strict=True):  # type: ignore[call-overload]
        assert torch.equal(parameter, old) is ("pooler" in name), name
    assert steps(learner).tolist() == [1.0, 1.0]
    assert list(record.losses) == ["sst", "sts"]
    assert record.weights == [[1.0, 1.0]]
    assert record.balance == [1.0, 1.0]
    assert record.gramian is not None
    assert record.gramian.shape == (2, 2)


@pytest.mark.slow
def test_the_loss_falls(learner: Learner, data: list[TaskData]) -> None:
    learner.model.encoder.set_dropout(0.1)
    losses = [sum(learner.step(i, batch(data), 1.0).losses.values()) for i in range(150)]
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])


@pytest.mark.parametrize("spoilt", [math.nan, math.inf])
def test_loss_that_is_not_finite_changes_nothing(
    learner: Learner, data: list[TaskData], spoilt: float
) -> None:
    learner.step(0, batch(data), 1.0)
    good = data[1].store.labels[0]
    data[1].store.labels[0] = spoilt
    before = everything(learner)
    blamed = refused(learner, 11, batch(data))
    assert blamed.startswith("step 12: the loss of sts is not finite")
    assert "sst" not in blamed
    assert "\n" not in blamed
    torch.testing.assert_close(everything(learner), before, rtol=0, atol=0)
    data[1].store.labels[0] = good
    learner.step(1, batch(data), 1.0)  # nothing of it is left in the gradients either
    assert all(bool(p.isfinite().all()) for p in learner.model.parameters())


def test_infinite_loss_with_finite_gradients_changes_nothing(
    learner: Learner, data: list[TaskData]
) -> None:
    """Cross entropy overflows where its gradient, a difference of probabilities, does not."""
    head = learner.model.heads["sst"].linear
    with torch.no_grad():
        head.bias.copy_(torch.tensor([3e38, -3e38]))
    data[0].store.labels[:] = 1.0
    before = everything(learner)
    assert refused(learner, 0, batch(data)).startswith("step 1: the loss of sst is not finite")
    torch.testing.assert_close(everything(learner), before, rtol=0, atol=0)


@pytest.mark.parametrize("where", ["head", "encoder"])
def test_gradient_that_is_not_finite_changes_nothing(
    learner: Learner, data: list[TaskData], where: str
) -> None:
    ours = batch(data)
    if where == "head":
        learner.model.heads["sts"].linear.weight.register_hook(lambda grad: grad * math.inf)
    else:
        actual = torch.tensor([[[1.0, 0.0], [0.0, math.inf]]], dtype=torch.float64)

        class Infinite(Step):
            def gramians(self) -> Tensor:
                return actual

        learner.jacobian.step_type = Infinite
    before = everything(learner)
    assert refused(learner, 0, ours).startswith("step 1: the gradient of sts is not finite")
    torch.testing.assert_close(everything(learner), before, rtol=0, atol=0)


def test_a_gradient_of_a_part_blames_its_task(
    tiny_encoder: MakeEncoder, data: list[TaskData]
) -> None:
    encoder = tiny_encoder()
    model = MultitaskModel(encoder, TASKS, Sharing(("lora",), {"lora": {"rank": 2}}))
    parts = [(list(model.own_parameters(i)), 1e-3) for i in (0, 1)]
    named = [([(str(i), p) for i, p in enumerate(each)], lr) for each, lr in parts]
    learner = Learner(
        model, AdamW(parameter_groups(named, 0.01)), Objective(model),
        Combination.of(TASKS, COUNTING), Jacobian(encoder.parameters(), encoder.embeddings.word),
    )  # fmt: skip
    model.own_parameters(1)[-1].register_hook(lambda grad: grad * math.inf)
    assert "the gradient of sts is not finite" in refused(learner, 0, batch(data))


@pytest.mark.parametrize("clip", [0.0, 0.05, 1e6])
def test_gradients_longer_than_the_limit_are_cut_to_it(
    learner: Learner, data: list[TaskData], clip: float
) -> None:
    learner.clip = clip
    record = learner.step(0, batch(data), 1.0)
    assert record.gradient_norm > 0.1
    expected = 0.05 if clip == 0.05 else record.gradient_norm
    assert all_gradients(learner).norm().item() == pytest.approx(expected, rel=1e-4)


def test_clipping_keeps_the_direction(learner: Learner, data: list[TaskData]) -> None:
    actual = []
    for clip in (0.0, 0.05):
        deepcopy = copy.deepcopy(learner)
        deepcopy.jacobian = Jacobian(
            deepcopy.model.encoder.parameters(), deepcopy.model.encoder.embeddings.word
        )
        deepcopy.clip = clip
        deepcopy.step(0, batch(data), 1.0)
        actual.append(all_gradients(deepcopy))
    assert torch.cosine_similarity(*actual, dim=0).item() == pytest.approx(1.0, abs=1e-6)


def test_an_absent_task_keeps_its_head_and_its_state(
    learner: Learner, data: list[TaskData]
) -> None:
    learner.step(0, batch(data), 1.0)
    head = [p.detach().clone() for p in learner.model.heads["sst"].parameters()]
    record = learner.step(1, batch(data, (0, 3)), 1.0)
    assert list(record.losses) == ["sts"]
    assert record.gramian is not None
    assert record.gramian.shape == (1, 1)
    for parameter, old in zip(learner.model.heads["sst"].parameters(), head, strict=True):
        assert parameter.grad is None
        assert torch.equal(parameter, old)
    assert steps(learner).tolist() == [1.0, 2.0]


def test_lr_factor_scales_every_rate(learner: Learner, data: list[TaskData]) -> None:
    learner.step(0, batch(data), 0.25)
    rates = {group["lr"] for group in learner.optimizer.param_groups}
    assert rates == {0.25e-3, 0.25e-2}
    before = everything(learner)[0]
    learner.step(1, batch(data), 0.0)
    torch.testing.assert_close(everything(learner)[0], before, rtol=0, atol=0)


def test_same_seed_and_step_same_bits(learner: Learner, data: list[TaskData]) -> None:
    learner.model.encoder.set_dropout(0.2)
    actual = []
    for seed in (1, 1, 2):
        deepcopy = copy.deepcopy(learner)
        deepcopy.jacobian = Jacobian(
            deepcopy.model.encoder.parameters(), deepcopy.model.encoder.embeddings.word
        )
        deepcopy.objective.seed = seed
        for step in range(2):
            deepcopy.step(step, batch(data), 1.0)
        actual.append(everything(deepcopy)[0])
    torch.testing.assert_close(actual[0], actual[1], rtol=0, atol=0)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(actual[0], actual[2])


def test_frozen_encoder_trains_heads_alone(learner: Learner, data: list[TaskData]) -> None:
    """From pooled vectors the heads move as they would behind an encoder that stands still."""
    learner.jacobian = Jacobian(())
    encoder = learner.model.encoder.requires_grad_(False)
    before = [p.clone() for p in encoder.parameters()]
    with torch.no_grad():
        every = batch(data, (8, 8)).passes[0].inputs
        features = [alike(part) for part in learner.model.pooled(every, (0, 1))]
    drawn = [np.array([4, 1]), np.array([0, 7])]
    frozen = feature_batch(drawn, each_alone(data), features)
    assembler = Assembler(SpecialIds(1, 2, 0), 32)
    packed = step_batch(drawn, each_alone(data), assembler, torch.device("cpu"))
    twin = copy.deepcopy(learner)
    records = [learner.step(0, frozen, 1.0), twin.step(0, packed, 1.0)]
    assert records[0].gramian is None
    assert records[0].losses == pytest.approx(records[1].losses)
    assert records[0].gradient_norm == pytest.approx(records[1].gradient_norm, rel=1e-4)
    assert all(p.grad is None for p in encoder.parameters())
    assert all(torch.equal(p, old) for p, old in zip(encoder.parameters(), before, strict=True))
    for a, b in zip(learner.model.heads.parameters(), twin.model.heads.parameters(), strict=True):
        assert a.grad is not None
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("share", [0.0, 0.3, 2.0], ids=["none", "clipped", "large"])
def test_the_heads_of_a_frozen_encoder_are_clipped_as_torch_clips(
    learner: Learner, data: list[TaskData], share: float
) -> None:
    """The limit is a share of the norm that autograd finds for the heads' summed mean losses."""
    learner.jacobian = Jacobian(())
    learner.model.encoder.requires_grad_(False)
    with torch.no_grad():
        inputs = batch(data, (8, 8)).passes[0].inputs
        features = [alike(part) for part in learner.model.pooled(inputs, (0, 1))]
    rows = feature_batch([np.array([4, 1, 5]), np.array([0, 7])], each_alone(data), features)
    twin = copy.deepcopy(learner.model)
    micro = rows.passes[0]
    losses = twin.losses(
        micro.inputs, micro.targets, (0, 1), DropoutKey(learner.objective.seed, 0, 0)
    )
    sum(loss.mean() for loss in losses).backward()
    heads = list(twin.heads.parameters())
    norm = torch.cat([p.grad.flatten() for p in heads]).norm().item()
    learner.clip = share * norm
    if share:
        torch.nn.utils.clip_grad_norm_(heads, learner.clip)

    record = learner.step(0, rows, 1.0)
    assert record.gradient_norm == pytest.approx(norm, rel=1e-5)
    if share == 0.3:
        assert all_gradients(learner).norm().item() == pytest.approx(0.3 * norm, rel=1e-5)
    for parameter, other in zip(learner.model.heads.parameters(), heads, strict=True):
        torch.testing.assert_close(parameter.grad, other.grad, rtol=1e-5, atol=1e-7)


def test_a_frozen_encoders_separate_pairs_stay_together(random_split: Split) -> None:
    pair = dataclasses.replace(TASKS[1], name="apart", encoding="separate")
    data = [random_split(pair, 4), random_split(TASKS[0], 3)]
    features = [alike(torch.arange(8.0)[:, None], 2), alike(torch.arange(3.0)[:, None])]
    actual = feature_batch([np.array([3, 0]), np.array([1])], each_alone(data), features)
    (micro,) = actual.passes
    assert [vectors.flatten().tolist() for vectors in micro.inputs] == [[6, 7, 0, 1], [1]]
    assert micro.targets[0].tolist() == pytest.approx((data[0].labels[[3, 0]] / 5).tolist())
    assert actual.present == (0, 1)


def test_every_micro_batch_draws_masks_of_its_own(
    learner: Learner, data: list[TaskData], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[DropoutKey] = []
    draw = DropoutKey.keep_mask

    def spy(key: DropoutKey, *arguments: object) -> Tensor:
        keys.append(key)
        return draw(key, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(DropoutKey, "keep_mask", spy)
    learner.model.encoder.set_dropout(0.1)
    assembler = Assembler(SpecialIds(1, 2, 0), 32)
    drawn = [np.arange(3), np.arange(2)]
    several = step_batch(
        drawn, each_alone(data), assembler, torch.device("cpu"), micro_batch_tokens=20
    )
    learner.step(6, several, 1.0)
    assert {(key.seed, key.step) for key in keys} == {(1, 6)}
    assert {key.micro_batch for key in keys} == set(range(len(several.passes)))
    assert len(several.passes) > 1
    assert len(set(keys)) == len(keys)
