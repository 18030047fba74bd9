"""What a step does with J is what its rule and method say of the dense J, layer by layer too."""

import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from worlds import (
    COSINE,
    QUORA,
    SST,
    STS,
    MakeEncoder,
    Recorded,
    RecordedStep,
    Split,
    World,
    assert_rows_close,
)  # fmt: skip

from accord.balancing import get_rule, rule_names
from accord.gradients import get_method, method_names
from accord.methods import Chosen, Signals, keyed_generator
from accord.pertask.step import Step
from accord.training.combining import Combination
from accord.training.measurement import NotFinite

TASKS = [SST, QUORA, STS, COSINE]
BALANCE = [1.0, 2.0, 0.5, 1.5]
WEIGHING = [name for name in method_names() if not get_method(name).uses_jacobian]
LAYERED = [name for name in method_names() if "layer" in get_method(name).granularities]
WHOLE = [name for name in method_names() if get_method(name).uses_jacobian]


class KeptStep(Step):
    """Keeps J as it is before anything is written."""

    def gramians(self) -> Tensor:
        self.J = self.dense()
        return super().gramians()


class Kept(Recorded):
    """Shows the last step's J."""

    step_type = KeptStep


def world(
    encoder: MakeEncoder, split: Split, method: str, balancing: str = "fixed", layers: bool = False,
    **ours: object,
) -> World:  # fmt: skip
    bert = encoder()
    groups = bert.layer_groups()
    names = dict(zip((task.name for task in TASKS), BALANCE, strict=True))
    combination = Combination.of(
        TASKS, get_method(method), get_rule(balancing),
        options={"fixed": {"weights": names}}, layers=len(groups) if layers else None,
    )  # fmt: skip
    jacobian = Kept(
        bert.parameters(), bert.embeddings.word, groups if combination.by_layer else None
    )
    return World(TASKS, bert, split, combination=combination, jacobian=jacobian, **ours)


def group_of_columns(made: World) -> Tensor:
    """The group of each of J's columns, the word embeddings' at the end."""
    groups = made.model.encoder.layer_groups()
    of = {id(p): i for i, group in enumerate(groups) for p in group}
    return torch.cat([torch.full((p.numel(),), of[id(p)]) for p in made.columns()])


@pytest.mark.parametrize("method", WEIGHING)
@pytest.mark.parametrize("counts", [[3, 3, 3, 3], [2, 0, 3, 1]])
def test_a_method_weighs_the_balanced_rows_of_j(
    method: str, counts: list[int], tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    made = world(tiny_encoder, random_split, method)
    batch = made.batch(counts, 40)
    record = made.step(batch, 3)
    J, present = made.learner.jacobian.J, list(batch.present)  # type: ignore[union-attr]
    balance = torch.tensor(BALANCE)[present].double()
    losses = torch.tensor([record.losses[TASKS[i].name] for i in present]).double()
    scaled = J.double() * balance[:, None]
    chosen = Chosen.of(get_method(method), len(TASKS))
    signals = Signals.of(scaled @ scaled.t(), losses * balance)
    weights, _ = chosen.weigh([signals], batch.present, (0, 3))
    torch.testing.assert_close(torch.tensor(record.weights).double(), weights, rtol=2e-3, atol=1e-4)
    expected = torch.tensor(record.weights[0]).double() @ scaled
    assert_rows_close(made.written()[None], expected[None].float())
    assert record.balance == balance.tolist()
    heads = [p.grad.norm() for p in made.model.heads.parameters() if p.grad is not None]
    total = math.hypot(float(expected.norm()), float(torch.stack(heads).norm()))
    assert record.gradient_norm == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize("counts", [[3, 2, 3, 2], [0, 3, 0, 0]])
@pytest.mark.parametrize("method", LAYERED)
def test_by_layer_it_weighs_each_layer_s_columns_apart(
    method: str, counts: list[int], tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    made = world(tiny_encoder, random_split, method, layers=True)
    batch = made.batch(counts)
    record = made.step(batch, 3)
    J, group = made.learner.jacobian.J, group_of_columns(made)  # type: ignore[union-attr]
    balance = torch.tensor(BALANCE).double()[list(batch.present)]
    losses = torch.tensor(list(record.losses.values())).double()
    count = int(group.max()) + 1
    assert len(record.weights) == count
    chosen = Chosen.of(get_method(method), len(TASKS), groups=count)
    signals, expected = [], torch.zeros(J.shape[1], dtype=torch.float64)
    for number in range(count):
        scaled = J[:, group == number].double() * balance[:, None]
        signals.append(Signals.of(scaled @ scaled.t(), losses * balance))
        expected[group == number] = torch.tensor(record.weights[number]).double() @ scaled
    weights, _ = chosen.weigh(signals, batch.present, (0, 3))
    torch.testing.assert_close(torch.tensor(record.weights).double(), weights, rtol=2e-3, atol=1e-4)
    assert_rows_close(made.written()[None], expected[None].float())
    assert record.gramian is not None
    torch.testing.assert_close(record.gramian, J.double() @ J.double().t(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("clip", [0.0, 1e-3])
@pytest.mark.parametrize("method", WHOLE)
def test_a_method_that_needs_j_gets_its_balanced_columns(
    method: str, clip: float, tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    made = world(tiny_encoder, random_split, method, clip=clip)
    batch = made.batch([3, 2, 3, 2])
    record = made.step(batch, 3)
    assert record.weights == []
    jacobian = made.learner.jacobian
    step = jacobian.step
    assert step is not None
    assert step._table is not None
    written = made.written()
    # The same draws, handed out in J's own layout: once for the matrix, once for the words.
    function = get_method(method).function
    generator = keyed_generator(0, 3)
    balance = torch.tensor(BALANCE)[:, None]
    matrix = jacobian.matrix[: step.rows] * balance
    flat = function(matrix, {}, generator)[0]
    words = function(step._table.values.flatten(1) * balance, {}, generator)[0]
    norm = math.sqrt(float(flat.double().square().sum() + words.double().square().sum()))
    factor = clip / record.gradient_norm if clip else 1.0
    assert float(written.norm()) == pytest.approx(norm * factor, rel=1e-4)
    slots = jacobian.slots.values()
    parts = [flat[offset : offset + p.numel()] for p, offset in slots]
    count = sum(map(len, parts))
    torch.testing.assert_close(written[:count], torch.cat(parts) * factor, rtol=1e-4, atol=1e-7)
    heads = [p.grad.norm() for p in made.model.heads.parameters() if p.grad is not None]
    total = math.hypot(norm * factor, float(torch.stack(heads).norm()))
    assert record.gradient_norm * factor == pytest.approx(total, rel=1e-3)


@pytest.mark.parametrize("balancing", rule_names())
def test_a_rule_sees_plain_signals_and_scales_shared_and_head_gradients(
    balancing: str, tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    made = world(tiny_encoder, random_split, "sum", balancing)
    batch = made.batch([3, 2, 3, 2], 40)
    record = made.step(batch, 3)
    J, group = made.learner.jacobian.J, group_of_columns(made)  # type: ignore[union-attr]
    losses = torch.tensor(list(record.losses.values())).double()
    last = J[:, group == group.max()].double().norm(dim=1)
    combination = made.learner.combination
    signals = Signals.of(
        J.double() @ J.double().t(), losses, last_norms=last,
        regression=torch.tensor(combination.regression), names=combination.names,
    )  # fmt: skip
    options = combination.balancing.options
    chosen = Chosen.of(get_rule(balancing), len(TASKS), options)
    weights, states = chosen.weigh([replace(signals, step=3)], batch.present, (0, 3), 1 << 20)
    torch.testing.assert_close(torch.tensor(record.balance).double(), weights[0], rtol=1e-4,
                               atol=0)  # fmt: skip
    if get_rule(balancing).learn is None:  # what it learned shows what it looked at
        torch.testing.assert_close(combination.balancing.states, states, rtol=1e-3, atol=1e-6)
    scaled = torch.tensor(record.balance).float() @ J
    assert_rows_close(made.written()[None], scaled[None])
    losses_again, _ = made.separate(batch)
    for loss, task, weight in zip(losses_again, TASKS, record.balance, strict=True):
        for parameter in made.model.heads[task.name].parameters():
            (plain,) = torch.autograd.grad(loss, [parameter], retain_graph=True)
            torch.testing.assert_close(parameter.grad, plain * weight, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "balancing", [name for name in rule_names() if "losses_after" in get_rule(name).needs]
)
def test_a_rule_that_looks_back_sees_the_same_examples_under_the_same_masks(
    balancing: str, tiny_encoder: MakeEncoder, random_split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    made = world(tiny_encoder, random_split, "sum", balancing)
    made.model.encoder.set_dropout(0.3)
    rule = made.learner.combination.balancing
    monkeypatch.setattr(
        rule, "learn", lambda before, after, present: seen.append((before, after, present))
    )
    batch = made.batch([3, 2, 0, 2], 40)
    made.step(batch, 3)  # at a rate of 0: nothing moves
    ((before, after, present),) = seen
    torch.testing.assert_close(before, after, rtol=1e-6, atol=0)
    assert present == (0, 1, 3)
    with torch.no_grad():  # other masks would show
        other, same = next(made.objective.means(4, batch)), next(made.objective.means(3, batch))
    assert not torch.allclose(other, same)


def test_nothing_is_learnt_from_losses_that_are_not_finite_after_a_step(
    tiny_encoder: MakeEncoder, random_split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step itself was sound; the next one says which example it is, if it still is one."""
    made = world(tiny_encoder, random_split, "sum", "famo")
    plain, count = made.objective.means, itertools.count()

    def means(*given: Any) -> list[torch.Tensor]:
        after = next(count) == 1  # the second time: after the step
        return [each * math.inf if after else each for each in plain(*given)]

    monkeypatch.setattr(made.objective, "means", means)
    before = made.learner.combination.tensors()
    assert not made.step(made.batch(), 0).skipped
    after = made.learner.combination.tensors()
    assert all(torch.equal(before[name], each) for name, each in after.items())


def test_a_step_that_is_left_out_keeps_every_state(
    tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    made = world(tiny_encoder, random_split, "gradvac", "gradnorm", layers=True)
    made.step(made.batch(), 0)
    before = made.learner.combination.tensors()
    assert any(bool(value.any()) for value in before.values())
    made.data[0].store.labels[:] = 1
    with torch.no_grad():
        made.model.heads["sst"].linear.bias.copy_(torch.tensor([3e38, -3e38, 0, 0, 0]))
    with pytest.raises(NotFinite):
        made.step(made.batch(), 1)
    after = made.learner.combination.tensors()
    assert all(torch.equal(after[name], value) for name, value in before.items())


@pytest.mark.parametrize("layers", [None, 3])
@pytest.mark.parametrize("method", WEIGHING)
def test_a_task_of_weight_0_is_not_there_for_a_method(method: str, layers: int | None) -> None:
    if layers is not None and method not in LAYERED:
        pytest.skip("has no weights that could differ by layer")
    weights = {"sst": 1.5, "quora": 0.0, "sts": 0.5, "cosine": 1.0}
    made = Combination.of(
        TASKS, get_method(method), get_rule("fixed"), options={"fixed": {"weights": weights}},
        layers=layers,
    )  # fmt: skip
    J = torch.randn(3, 4, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    gramians, losses = J @ J.mT, torch.tensor([0.5, 2.0, 1.0, 0.25], dtype=torch.float64)
    kept = [TASKS.index(task) for task in TASKS if weights[task.name]]
    for step in range(2):  # in the second a method's state is no longer as it began
        whole = made.decide(losses, gramians, (0, 1, 2, 3), (0, step))
        without = made.decide(
            losses[kept], gramians[:, kept][:, :, kept], tuple(kept), (0, step)
        )  # fmt: skip
        torch.testing.assert_close(whole.shared[:, kept], without.shared, rtol=0, atol=0)
        torch.testing.assert_close(whole.states, without.states, rtol=0, atol=0)
        assert whole.weights is not None
        assert bool((whole.weights[:, 1] == 0).all())
        assert bool(whole.shared.any())
        made.keep(whole)
    alone = made.decide(losses[1:2], gramians[:, 1:2, 1:2], (1,), (0, 2))
    assert alone.shared.tolist() == [[0.0]] * (layers or 1)  # nothing else was drawn


@pytest.mark.parametrize("method", WHOLE)
def test_nor_for_one_that_needs_j(method: str) -> None:
    made = Combination.of(
        TASKS, get_method(method), get_rule("fixed"), options={"fixed": {"weights": {"quora": 0.0}}}
    )
    J = torch.randn(4, 50, generator=torch.Generator().manual_seed(1))
    ones, kept = torch.ones(4, dtype=torch.float64), [0, 2, 3]
    gramians = (J @ J.t()).double()[None]
    whole = made.decide(ones, gramians, (0, 1, 2, 3), (0, 3))
    without = made.decide(ones[kept], gramians[:, kept][:, :, kept], (0, 2, 3), (0, 3))
    combined = whole.combine_columns(J)
    torch.testing.assert_close(combined, without.combine_columns(J[kept]), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("method", ["sum", "nash-mtl", "upgrad", "fairgrad"])
def test_where_gradients_nearly_cancel_the_norm_is_the_written_one(
    method: str, tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    """G is of float32 gradients: what is left of two that cancel isn't in it."""
    made = World(TASKS[:2], tiny_encoder(), random_split, clip=0.5,
                 combination=Combination.of(TASKS[:2], get_method(method)))  # fmt: skip
    for parameter in made.own_parameters():
        parameter.requires_grad_(False)

    class Opposed(RecordedStep):
        def gramians(self) -> Tensor:
            matrix = made.jacobian.matrix
            noise = torch.randn(matrix.shape[1], generator=torch.Generator().manual_seed(0))
            matrix[1] = -matrix[0] + 1e-5 * noise * matrix[0].abs().mean()
            assert self._table is not None
            self._table.values[1] = -self._table.values[0]
            return super().gramians()

    made.jacobian.step_type = Opposed
    record = made.step(made.batch())
    written = float(made.written().double().norm())
    assert written <= 0.5 * 1.001
    if record.gradient_norm < 0.5:
        assert written == pytest.approx(record.gradient_norm, rel=1e-5)


def test_what_a_task_of_weight_0_has_of_its_own_stays_as_it_is(
    tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    """Weight decay too is left out, as for a task that is absent."""
    combination = Combination.of(
        TASKS, get_method("sum"), get_rule("fixed"), options={"fixed": {"weights": {"sts": 0.0}}}
    )
    made = World(TASKS, tiny_encoder(), random_split, combination=combination)
    for group in made.learner.optimizer.param_groups:
        group["lr"] = group["initial_lr"] = 1e-2
        group["weight_decay"] = 0.5
    before = [[p.detach().clone() for p in made.model.own_parameters(i)] for i in (0, 2)]
    made.step(made.batch())
    moved, stayed = (
        [torch.equal(p, old) for p, old in zip(made.model.own_parameters(i), each, strict=True)]
        for i, each in zip((0, 2), before, strict=True)
    )
    assert not any(moved)
    assert all(stayed)
