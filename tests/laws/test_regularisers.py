"""Regularisers: their terms against plain torch, and every task's gradient from one backward."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Categorical, kl_divergence
from worlds import (
    COSINE,
    LOGISTIC,
    QUORA,
    SEPARATE,
    SST,
    STS,
    MakeEncoder,
    Split,
    World,
    assert_rows_close,
)

from accord.data.batches import StepBatch
from accord.data.sources import each_alone
from accord.encoders.packing import PackedBatch
from accord.evaluation.inputs import Pooled
from accord.kernels.dropout import DropoutKey
from accord.model.multitask import HARD
from accord.model.parts import Sharing
from accord.regularisers import Passes, regulariser_names
from accord.regularisers.smart import worst_shift
from accord.tasks import Task
from accord.training.frozen import feature_batch
from accord.training.regularising import Regularisation

POPART = replace(STS, name="popart", targets="popart")
TASKS = [SST, QUORA, LOGISTIC, SEPARATE, POPART]
CHOICES = {**{name: [name] for name in regulariser_names()}, "all": regulariser_names()}
# Far from where the ascent's sign is a matter of rounding.
OPTIONS = {"smart": {"epsilon": 0.5, "sigma": 0.3, "eta": 0.2, "mu": 0.7}, "r-drop": {"alpha": 0.8}}
KEY = DropoutKey(5, 3)
LORA = Sharing(("lora",), {"lora": {"rank": 2}})
every_choice = pytest.mark.parametrize("names", CHOICES.values(), ids=CHOICES)


class Regularised(World):
    """A world with dropout everywhere and regularisers, whose averages are not the weights."""

    def __init__(
        self, tasks: Sequence[Task], encoder: Any, split: Split, names: Sequence[str],
        options: dict[str, dict[str, float]] | None = None, p: float = 0.2,
        sharing: Sharing = HARD,
    ) -> None:  # fmt: skip
        torch.manual_seed(0)
        encoder.set_dropout(p)
        tasks = [replace(task, dropout=p) for task in tasks]
        super().__init__(tasks, encoder, split, sharing=sharing)
        for task, each in zip(tasks, self.data, strict=True):
            self.model.head(task.name).begin(each.targets(np.arange(len(each))))
        options = OPTIONS if options is None else options
        self.own = self.objective.regularisation = Regularisation.of(self.model, names, options)

    def move_averages(self) -> None:
        assert self.own.averages is not None
        for value in self.own.averages.values:
            value.add_(0.1 * torch.randn_like(value))

    def losses(self, batch: StepBatch, plain: bool = False) -> list[Tensor]:
        """Each example's loss in the first pass, by plain autograd."""
        objective = replace(self.objective, regularisation=None if plain else self.own)
        return objective.example_losses(batch.passes[0], batch.present, KEY)

    def logits(self, batch: StepBatch, key: DropoutKey) -> list[Tensor]:
        return self.objective.logits(batch.passes[0], batch.present, key)

    def passes(self, batch: StepBatch) -> Passes:
        ask = partial(self.objective.logits, batch.passes[0], batch.present)
        return self.own.passes(ask, batch.passes[0], batch.present, KEY)


@pytest.fixture
def make(tiny_encoder: MakeEncoder, random_split: Split) -> Any:
    def world(names: Sequence[str], tasks: Sequence[Task] = TASKS, **ours: Any) -> Regularised:
        return Regularised(tasks, tiny_encoder(), random_split, names, **ours)

    return world


def both_ways(one: Tensor, other: Tensor, task: Task) -> Tensor:
    """KL(p‖q) + KL(q‖p), or the squared difference, by torch's own distributions."""
    if task.loss == "mse":
        return (one - other)[:, 0] ** 2
    kind = Bernoulli if task.loss == "binary_cross_entropy" else Categorical
    p, q = (kind(logits=each[:, 0] if kind is Bernoulli else each) for each in (one, other))
    return kl_divergence(p, q) + kl_divergence(q, p)


def test_r_drop_against_two_passes_of_plain_torch(make: Any) -> None:
    world = make(["r-drop"], [*TASKS, COSINE])
    batch = world.batch()
    one, other = world.logits(batch, KEY), world.logits(batch, KEY.again())
    losses = world.losses(batch)
    (micro,) = batch.passes
    for i, task in enumerate(world.tasks):
        scale = world.model.head(task.name).scale
        unit = 1.0 if scale is None else float(scale.std) ** 2
        means = [
            torch.nn.functional.cross_entropy(each, micro.targets[i].long(), reduction="none")
            if task.loss == "cross_entropy"
            else torch.nn.functional.binary_cross_entropy(
                each[:, 0].sigmoid(), micro.targets[i], reduction="none"
            )
            if task.loss == "binary_cross_entropy"
            else (each[:, 0] - micro.targets[i]) ** 2 / unit
            for each in (one[i], other[i])
        ]
        share = 1.0 if task.loss == "mse" else 0.5
        apart = share * both_ways(one[i], other[i], task) / unit
        assert float(apart.detach().min()) > 0
        wanted = 0.5 * (means[0] + means[1]) + 0.8 * apart
        torch.testing.assert_close(losses[i], wanted, rtol=1e-4, atol=1e-6)


def test_without_dropout_r_drop_adds_nothing(make: Any) -> None:
    world = make(["r-drop"], p=0.0)
    batch = world.batch()
    for loss, plain in zip(world.losses(batch), world.losses(batch, plain=True), strict=True):
        assert torch.equal(loss, plain)


def test_r_drop_on_a_frozen_encoder_s_vectors(make: Any) -> None:
    world = make(["r-drop"], [SST, STS])
    features = [Pooled(torch.randn(8, 8), np.ones(8, dtype=np.int64)) for _ in world.tasks]
    batch = feature_batch([np.arange(4)] * 2, each_alone(world.data), features)
    for loss, plain in zip(world.losses(batch), world.losses(batch, plain=True), strict=True):
        assert not torch.allclose(loss, plain)


def test_smart_adds_what_its_formula_says(make: Any) -> None:
    world = make(["smart"])
    batch = world.batch()
    world.move_averages()
    passes = world.passes(batch)
    moved = passes.ask(KEY, worst_shift(passes, 0.5, 0.3, 0.2, 1))
    with torch.no_grad(), world.own.averages.in_place():
        averaged = world.logits(batch, KEY)
    actual = zip(world.losses(batch), world.losses(batch, plain=True), strict=True)
    for i, (each, plain) in enumerate(actual):
        task = world.tasks[i]
        scale = world.model.head(task.name).scale
        unit = 1.0 if scale is None else float(scale.std) ** 2
        terms = [both_ways(passes.logits[i], other[i], task) / unit for other in (moved, averaged)]
        assert all(float(term.detach().min()) > 0 for term in terms)
        wanted = terms[0] + 0.7 * terms[1]
        torch.testing.assert_close(each - plain, wanted, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("steps", [1, 3])
def test_the_shift_is_plain_autograd_s_ascent(make: Any, steps: int) -> None:
    world = make(["smart"], [SST, SEPARATE], p=0.0)
    batch = world.batch()
    actual = worst_shift(world.passes(batch), 0.5, 0.3, 0.2, steps)
    assert float(actual.abs().max()) <= 0.5
    assert all(p.grad is None for p in world.model.parameters())
    assert world.jacobian.step is None

    inputs, (noisy, clean) = batch.passes[0].inputs, (None, world.logits(batch, KEY))
    encoder, poolings = world.model.encoder, inputs.task_sequences
    site = KEY.at(1 << 25).number()
    noise = torch.randn(actual.shape, generator=torch.Generator().manual_seed(site))
    delta = 0.3 * noise
    for _ in range(steps):
        delta = delta.detach().requires_grad_()
        hidden = encoder.embeddings(inputs.ids, None) + delta
        for layer in encoder.layers:
            hidden = layer(hidden, inputs.plan, None, None)
        means = torch.stack([part.mean(0) for part in hidden.split(inputs.lengths)])
        noisy = world.model.logits([means[start:stop] for start, stop in poolings], (0, 1))
        apart = [both_ways(a, b.detach(), task) for a, b, task in
                 zip(noisy, clean, world.tasks, strict=True)]  # fmt: skip
        torch.cat(apart).sum().backward()
        assert delta.grad is not None
        step = [each / each.abs().max() for each in delta.grad.split(inputs.lengths)]
        delta = (delta.detach() + 0.2 * torch.cat(step)).clamp(-0.5, 0.5)
    torch.testing.assert_close(actual, delta, rtol=1e-3, atol=1e-3)


def test_the_shift_changes_more_than_one_of_its_size_drawn_at_random(make: Any) -> None:
    world = make(["smart"])
    passes = world.passes(world.batch())
    worst = worst_shift(passes, 0.01, 0.01, 1.0, 1)
    values = []
    for shift in (worst, 0.01 * torch.randn_like(worst).sign()):
        apart = passes.divergences(passes.ask(KEY, shift), passes.logits)
        values.append(torch.stack([each.detach().sum() for each in apart]))
    assert bool((values[0] > 2 * values[1]).all())


def test_weights_that_are_their_own_average_add_nothing(make: Any) -> None:
    world = make(["smart"], options={"smart": {"lambda_s": 0.0, "mu": 3.0}})
    batch = world.batch()
    for loss, plain in zip(world.losses(batch), world.losses(batch, plain=True), strict=True):
        assert torch.equal(loss, plain)
    world.move_averages()
    for loss, plain in zip(world.losses(batch), world.losses(batch, plain=True), strict=True):
        assert bool((loss > plain).all())


def test_a_popart_head_s_average_follows_its_scale(make: Any) -> None:
    world = make(["smart"], [POPART])
    world.move_averages()
    x = torch.randn(4, 8)
    actual = []
    for targets in (None, torch.tensor([9.0, -4.0])):
        if targets is not None:
            world.model.observe([targets], (0,), world.own.averages)
        with torch.no_grad(), world.own.averages.in_place():
            actual.append(world.model.head("popart")(x))
    torch.testing.assert_close(*actual, rtol=1e-4, atol=1e-5)


def by_autograd(world: Regularised, batch: StepBatch) -> tuple[Tensor, list[list[Tensor]]]:
    """J, and each task's own gradients, by a pass of plain autograd a task."""
    losses = torch.stack(list(world.objective.means(0, batch))).sum(0)
    rows, parts = [], []
    for row, i in enumerate(batch.present):
        wanted = [*world.columns(), *world.model.own_parameters(i)]
        grad = torch.autograd.grad(losses[row], wanted, retain_graph=True, allow_unused=True)
        full = [torch.zeros_like(p) if g is None else g for p, g in zip(wanted, grad, strict=True)]
        rows.append(torch.cat([each.flatten() for each in full[: len(world.columns())]]))
        parts.append(full[len(world.columns()) :])
    return torch.stack(rows), parts


WAYS = {
    f"{choice}, {kind}, {passes}": (names, sharing, limit)
    for choice, names in CHOICES.items()
    for kind, sharing in (("hard", HARD), ("lora", LORA))
    for passes, limit in (("one pass", None), ("micro-batches", 40))
}
QUICK = {*(f"{choice}, hard, one pass" for choice in CHOICES), "all, lora, micro-batches"}


@pytest.mark.quick(*QUICK)
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_one_backward_equals_separate_ones(
    make: Any, way: tuple[Sequence[str], Sharing, int | None]
) -> None:
    names, sharing, limit = way
    world = make(names, sharing=sharing)
    if world.own.averages is not None:
        world.move_averages()
    batch = world.batch([3, 2, 0, 3, 4], limit)
    assert (len(batch.passes) > 1) is (limit is not None)
    J, parts = by_autograd(world, batch)
    world.step(batch)
    assert_rows_close(world.jacobian.J, J, 1e-4)
    for part, i in zip(parts, batch.present, strict=True):
        for parameter, gradient in zip(world.model.own_parameters(i), part, strict=True):
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-4)


def test_recomputed_activations_change_nothing(make: Any) -> None:
    actual = []
    for checkpointing in (False, True):
        world = make(CHOICES["all"])
        world.move_averages()
        world.model.encoder.gradient_checkpointing = checkpointing
        world.step(world.batch())
        actual.append(world.jacobian.J)
    assert torch.equal(*actual)


@every_choice
def test_losses_are_the_same_without_gradients(make: Any, names: Sequence[str]) -> None:
    """As they are taken again for FAMO, or to find the examples to blame."""
    world = make(names)
    batch = world.batch()
    losses = world.losses(batch)
    with torch.no_grad():
        again = world.losses(batch)
    for loss, other in zip(losses, again, strict=True):
        torch.testing.assert_close(loss, other, rtol=1e-5, atol=1e-6)


def test_fillers_are_left_alone(make: Any) -> None:
    world = make(["smart"])
    batch = world.batch(multiple=32)
    inputs = batch.passes[0].inputs
    assert isinstance(inputs, PackedBatch)
    assert len(inputs.lengths) > inputs.task_sequences[0][1]
    world.step(batch)
    assert bool(world.jacobian.J.isfinite().all())
