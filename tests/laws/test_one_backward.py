"""J from one backward pass equals T separate backward passes by plain autograd (dropout off)."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from accord.bert import BertEncoder
from accord.data.tokenizing import SpecialIds
from accord.gradients._registry import Method
from accord.jacobian import Jacobian
from accord.loader import Assembler, StepBatch, TaskData, step_batch
from accord.losses import LOSSES
from accord.model import MultitaskModel
from accord.optim import AdamW, parameter_groups
from accord.packing import PackedBatch
from accord.products import Products
from accord.step import Learner, StepRecord
from accord.tasks import Task

Split = Callable[..., TaskData]
MakeEncoder = Callable[..., BertEncoder]
CPU = torch.device("cpu")

SST = Task("sst", "classification", "cross_entropy", "accuracy", labels=tuple("abcde"), dropout=0)
QUORA = Task(
    "quora", "pair-classification", "mse", "accuracy", labels=("0", "1"), pooling="pooler",
    dropout=0,
)  # fmt: skip
STS = Task("sts", "pair-regression", "mse", "pearson", range=(0, 5), pooling="cls", dropout=0)
LOGISTIC = replace(QUORA, name="logistic", loss="binary_cross_entropy", pooling="cls")
SEPARATE = replace(STS, name="separate", encoding="separate", pooling="mean")
APART = replace(SEPARATE, name="apart", pooling="pooler")
COSINE = replace(SEPARATE, name="cosine", head="cosine")
COSINE_CLS = replace(COSINE, name="cosine_cls", pooling="cls")

MIXES = {
    "one": [SST],
    "one pooler": [QUORA],
    "cls only": [STS, LOGISTIC],
    "cls and pooler": [STS, QUORA, LOGISTIC],
    "all poolings": [SST, QUORA, STS],
    "separate": [SEPARATE, APART, SST],
    "cosine": [COSINE, QUORA],
    "cosine alone": [COSINE_CLS],
    "five": [COSINE_CLS, APART, SST, LOGISTIC, STS],
}


def weigh(gramian: Tensor, state: dict[str, Tensor], generator: object) -> tuple[Tensor, dict]:
    """Give each row a weight of its own, so that a mix-up shows."""
    return torch.arange(1.0, len(gramian) + 1, dtype=torch.float64) * 0.7, state


UNEVEN = Method("uneven", weigh, "", frozenset(), ([], []), lambda tasks: {})


class Recorded(Jacobian):
    """Keeps J and G as they are before `write`, which may scale a single row in place."""

    def write(self, weights: Tensor) -> None:
        self.J, self.G = self.dense(), self.gramian()
        super().write(weights)


class World:
    """Tasks with data, a model, and a learner whose rate is 0: it measures and moves nothing."""

    def __init__(
        self, tasks: Sequence[Task], encoder: BertEncoder, split: Split, **own: object
    ) -> None:
        self.tasks = tasks
        self.data = [split(task, 8, seed) for seed, task in enumerate(tasks)]
        self.model = MultitaskModel(encoder, tasks)
        with torch.no_grad():
            for parameter in self.model.heads.parameters():
                parameter.copy_(0.5 * torch.randn_like(parameter))
        self.jacobian = Recorded(encoder.parameters(), encoder.embeddings.word)
        groups = parameter_groups(
            encoder.named_parameters(), self.model.heads.named_parameters(), 0.0, 0.0, 0.0
        )
        settings = {"method": UNEVEN, "clip": 0.0, "jacobian": self.jacobian, **own}
        self.learner = Learner(self.model, AdamW(groups, lr=0.0), **settings)  # type: ignore[arg-type]

    def batch(
        self,
        counts: Sequence[int] | None = None,
        weights: Sequence[float] | None = None,
        micro_batch_tokens: int | None = None,
        seed: int = 0,
        multiple: int = 1,
    ) -> StepBatch:
        rng = np.random.default_rng(seed)
        counts = [3] * len(self.tasks) if counts is None else counts
        drawn = [
            rng.permutation(len(own))[:count] for own, count in zip(self.data, counts, strict=True)
        ]
        return step_batch(
            drawn, self.data, weights or [1.0] * len(self.tasks),
            Assembler(SpecialIds(1, 2, 0), 24), CPU, micro_batch_tokens, multiple,
        )  # fmt: skip

    def step(self, batch: StepBatch, number: int = 0) -> StepRecord:
        return self.learner.step(number, batch, 1.0)

    def columns(self) -> list[torch.nn.Parameter]:
        """The shared parameters in J's order."""
        word = self.model.encoder.embeddings.word
        return [p for p in self.model.encoder.parameters() if p is not word] + [word]

    def separate(self, batch: StepBatch) -> tuple[list[Tensor], Tensor]:
        """Weighted losses, and J [T, P] by one autograd pass for each task."""
        losses = [torch.zeros(()) for _ in batch.present]
        for micro in batch.passes:
            assert isinstance(micro.inputs, PackedBatch)
            pooled = self.model.pooled(micro.inputs, batch.present)
            logits = self.model.logits(pooled, batch.present)
            for row, i in enumerate(batch.present):
                parts = LOSSES[self.tasks[i].loss](logits[row], micro.targets[row])
                share = batch.loss_weights[row] / len(batch.rows[row])
                losses[row] = losses[row] + parts.sum() * share
        rows = []
        for loss in losses:
            grads = torch.autograd.grad(loss, self.columns(), retain_graph=True, allow_unused=True)
            rows.append(torch.cat([
                (torch.zeros_like(p) if g is None else g).flatten()
                for p, g in zip(self.columns(), grads, strict=True)
            ]))  # fmt: skip
        return losses, torch.stack(rows)

    def written(self) -> Tensor:
        """The shared `.grad`s as one vector, None as zeros."""
        return torch.cat([
            (torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in self.columns()
        ])  # fmt: skip


def assert_rows_close(ours: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    """Each row by its own size: a small task's row is not hidden by a large one's."""
    assert ours.shape == expected.shape
    scale = expected.abs().amax(1, keepdim=True)
    assert bool((scale > 0).all())
    torch.testing.assert_close(ours / scale, expected / scale, rtol=1e-4, atol=tolerance)


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("passes", ["one pass", "micro-batches"])
def test_j_equals_separate_backward_passes(
    mix: str, passes: str, tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    world = World(MIXES[mix], tiny_encoder(), random_split)
    weights = [0.3 + 1.1 * i for i in range(len(world.tasks))]
    limit = None if passes == "one pass" else 20
    batch = world.batch([4, 3, 2, 5, 3][: len(world.tasks)], weights, limit)
    assert (len(batch.passes) > 1) is (limit is not None)
    record = world.step(batch)
    losses, J = world.separate(batch)

    assert_rows_close(world.jacobian.J, J)
    gramian = world.jacobian.G
    assert gramian.dtype == torch.float64
    exact = J.double() @ J.double().t()
    torch.testing.assert_close(gramian, exact, rtol=1e-4, atol=1e-6 * float(exact.max()))

    w = 0.7 * torch.arange(1.0, len(J) + 1)
    assert record.weights == pytest.approx(w.tolist())
    assert_rows_close(world.written()[None], (w @ J)[None])

    factors = torch.tensor(weights, dtype=torch.float64)
    for loss, factor, task in zip(losses, weights, world.tasks, strict=True):
        assert record.losses[task.name] == pytest.approx(loss.item() / factor, rel=1e-5)
    assert record.gramian is not None
    torch.testing.assert_close(
        record.gramian, exact / torch.outer(factors, factors), rtol=1e-4, atol=1e-4
    )
    heads = [
        torch.autograd.grad(loss, list(world.model.heads[task.name].parameters()),
                            retain_graph=True)
        if task.head == "linear" else ()
        for loss, task in zip(losses, world.tasks, strict=True)
    ]  # fmt: skip
    for task, own in zip(world.tasks, heads, strict=True):
        for parameter, gradient in zip(world.model.heads[task.name].parameters(), own, strict=True):
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-6)
    total = torch.cat([world.written(), *(g.flatten() for own in heads for g in own)])
    assert record.gradient_norm == pytest.approx(float(total.norm()), rel=1e-4)


def has_filler(batch: StepBatch) -> bool:
    return len(batch.token_ids) > batch.tokens


def flat_gradients(world: World) -> Tensor:
    heads = [p.grad.flatten() for p in world.model.heads.parameters() if p.grad is not None]
    return torch.cat([world.written(), *heads])


@pytest.mark.parametrize("joint", [False, True], ids=["per-task", "joint"])
@pytest.mark.parametrize("limit", [None, 40], ids=["one pass", "micro-batches"])
@pytest.mark.parametrize("mix", MIXES)
def test_fillers_change_no_gradient(
    mix: str, limit: int | None, joint: bool, tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    found = []
    for multiple in (1, 32):
        torch.manual_seed(0)
        world = World(MIXES[mix], tiny_encoder(), random_split, joint=joint)
        batch = world.batch(micro_batch_tokens=limit, multiple=multiple)
        assert has_filler(batch) is (multiple > 1)
        found.append((world.step(batch), world.jacobian.J, flat_gradients(world)[None]))
    (plain, *expected), (filled, *ours) = found
    assert filled.losses == pytest.approx(plain.losses, rel=1e-5)
    for own, other in zip(ours, expected, strict=True):
        assert bool(((own - other).norm(dim=1) < 1e-5 * other.norm(dim=1)).all())


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


@settings(max_examples=25)
@given(
    counts=st.lists(st.integers(0, 6), min_size=3, max_size=3).filter(any),
    limit=st.sampled_from([None, 1, 20, 45]),
    seed=st.integers(0, 1000),
)
@pytest.mark.parametrize("mix", ["all poolings", "cls and pooler", "separate"])
def test_any_counts_and_any_micro_batches(
    mix: str,
    tiny_encoder: MakeEncoder,
    random_split: Split,
    counts: list[int],
    limit: int | None,
    seed: int,
) -> None:
    world = World(MIXES[mix], tiny_encoder(), random_split)
    batch = world.batch(counts, [1.0, 0.5, 2.0], limit, seed)
    world.step(batch)
    whole = world.batch(counts, [1.0, 0.5, 2.0], None, seed)
    assert_rows_close(world.jacobian.J, world.separate(whole)[1])


@pytest.mark.parametrize("limit", [None, 30])
def test_steps_with_different_tasks_leave_nothing_behind(
    limit: int | None, tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    """A row or part of J that an earlier step filled must not show in a later one."""
    world = World([SST, QUORA, STS], tiny_encoder(), random_split)
    encoder = world.model.encoder
    assert encoder.pooler is not None
    present = [
        [3, 3, 3], [0, 3, 0], [3, 0, 3], [1, 1, 0], [0, 0, 2], [2, 0, 0], [3, 3, 3], [0, 2, 4],
    ]  # fmt: skip
    for number, counts in enumerate(present):
        batch = world.batch(counts, [1.0, 2.0, 0.5], limit, seed=number)
        record = world.step(batch, number)
        J = world.separate(batch)[1]
        assert batch.present == tuple(i for i, count in enumerate(counts) if count)
        assert_rows_close(world.jacobian.J, J)
        assert record.gramian is not None
        assert record.gramian.shape == (len(J), len(J))
        scale = torch.tensor(batch.loss_weights, dtype=torch.float64)
        raw = J.double() @ J.double().t() / torch.outer(scale, scale)
        torch.testing.assert_close(record.gramian, raw, rtol=1e-4, atol=1e-5 * float(raw.max()))
        w = 0.7 * torch.arange(1.0, len(J) + 1)
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
        batch = world.batch(counts, [1.0, 2.0, 0.5, 1.5], 40, seed=number)
        record = world.step(batch, number)
        total = world.separate(batch)[1].sum(0)
        assert record.gramian is None or len(record.gramian) == 1
        if clip:
            total *= clip / record.gradient_norm
        assert_rows_close(world.written()[None], total[None])


@pytest.mark.parametrize("mix", MIXES)
def test_bfloat16_is_close(mix: str, tiny_encoder: MakeEncoder, random_split: Split) -> None:
    world = World(MIXES[mix], tiny_encoder(), random_split, products=Products(bfloat16=True))
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
    found = []
    for checkpointing in (False, True):
        encoder = tiny_encoder(hidden_dropout_prob=0.3, attention_probs_dropout_prob=0.3)
        encoder.gradient_checkpointing = checkpointing
        torch.manual_seed(0)
        world = World(MIXES[mix], encoder, random_split, products=Products(bfloat16))
        record = world.step(world.batch(micro_batch_tokens=40))
        found.append((world.jacobian.J, record.losses))
    assert torch.equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]


def test_dropout_changes_j_by_the_step(tiny_encoder: MakeEncoder, random_split: Split) -> None:
    """And a repeated step repeats it to the bit."""
    world = World([SST, QUORA], tiny_encoder(), random_split)
    world.model.encoder.set_dropout(0.3)
    batch = world.batch()
    found = []
    for number in (4, 4, 5):
        world.step(batch, number)
        found.append(world.jacobian.J)
    assert torch.equal(found[0], found[1])
    assert not torch.allclose(found[0], found[2])
