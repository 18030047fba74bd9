"""Tasks that label the same rows: packed once, one row of J for all of them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from worlds import CPU, ORDERED, QUORA, SETS, SST, STS, Split, World, assert_rows_close, losses_of

from accord.data.batches import StepBatch, step_batch
from accord.data.loader import Assembler, TaskData
from accord.data.sources import Source, each_alone
from accord.data.tokenizing import SpecialIds
from accord.tasks import Task

ASSEMBLER = Assembler(SpecialIds(1, 2, 0), 24)
INTENT = replace(SST, name="intent", pooling="cls")
MOOD = replace(ORDERED, name="mood", pooling="mean", labels=("low", "mid", "high", "top"))
POOLED = replace(SETS, name="pooled")
SHARED = [INTENT, MOOD, POOLED]
ROWS = {
    "all": [np.arange(8)] * 3,
    "some": [np.array([0, 2, 3, 5, 7]), np.array([1, 2, 5, 6]), np.array([4])],
}


class SameTexts:
    """A store with the texts of one and the labels of another."""

    def __init__(self, texts: object, labels: np.ndarray) -> None:
        self._texts, self.labels = texts, labels

    def __getattr__(self, name: str) -> object:
        return getattr(self._texts, name)


def shared_world(split: Split, encoder: Callable, rows: list[np.ndarray], **ours: object) -> World:
    """Three tasks on the rows of one store, and two on their own."""
    world = World([*SHARED, QUORA, STS], encoder(), split, **ours)  # type: ignore[arg-type]
    first = world.data[0].store
    for i, labelled in enumerate(rows):
        data = world.data[i]
        store = SameTexts(first, data.store.labels)
        world.data[i] = TaskData(data.task, store, labelled)  # type: ignore[arg-type]
    return world


def sources_of_world(world: World, weights: tuple[float, ...] = (1.0, 1.0, 1.0)) -> list[Source]:
    shared = Source.of((0, 1, 2), world.data[:3], weights)
    return [shared, *(Source.of((i,), (world.data[i],)) for i in (3, 4))]


def drawn_batch(sources: list[Source], limit: int | None = None) -> StepBatch:
    drawn = [np.array([2, 5, 3, 4]), np.array([2, 5, 1]), np.array([7, 0])]
    return step_batch(drawn, sources, ASSEMBLER, CPU, limit)


def separate(world: World, batch: StepBatch) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Each task's mean loss, by hand, and the gradients of these, by one autograd pass each."""
    losses = [torch.zeros(()) for _ in batch.present]
    for micro in batch.passes:
        pooled = world.model.pooled(micro.inputs, batch.present, views=micro.views)
        logits = world.model.logits(pooled, batch.present)
        each = zip(batch.present, logits, micro.targets, batch.rows, strict=True)
        for i, (task, said, targets, rows) in enumerate(each):
            losses[i] = losses[i] + losses_of(world.tasks[task], said, targets).sum() / len(rows)
    rows = []
    for loss in losses:
        every = torch.autograd.grad(loss, world.columns(), retain_graph=True, allow_unused=True)
        pairs = zip(world.columns(), every, strict=True)
        rows.append(
            torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for p, g in pairs])
        )
    return losses, torch.stack(rows)


@pytest.mark.parametrize("limit", [None, 30], ids=["one pass", "micro-batches"])
@pytest.mark.parametrize("labelled", ROWS)
def test_one_backward_pass_gives_the_sum_of_a_source_s_tasks(
    labelled: str, limit: int | None, random_split: Split, tiny_encoder: Callable
) -> None:
    """A source's row of J is the weighted sum over those of its tasks that have labels."""
    world = shared_world(random_split, tiny_encoder, ROWS[labelled])
    weights = (1.0, 0.5, 3.0)
    batch = drawn_batch(sources_of_world(world, weights), limit)
    assert (len(batch.passes) > 1) is (limit is not None)
    losses, gradients = separate(world, batch)
    of_task = dict(zip(batch.present, gradients, strict=True))
    shared = sum(weights[i] * of_task[i] for i in range(3) if i in of_task)
    record = world.step(batch)
    assert_rows_close(world.jacobian.J, torch.stack([shared, of_task[3], of_task[4]]))
    named = [world.tasks[i].name for i in batch.present]
    expected = dict(zip(named, (loss.item() for loss in losses), strict=True))
    assert record.losses == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("labelled", ROWS)
def test_apart_and_together_give_the_same_gradients(
    labelled: str, random_split: Split, tiny_encoder: Callable
) -> None:
    """With equal weights and without dropout: of what is shared, and of every head."""
    world = shared_world(random_split, tiny_encoder, ROWS[labelled], joint=True)
    sources = sources_of_world(world)
    together = drawn_batch(sources)
    world.step(together)
    shared, heads = world.written(), [_gradient(p) for p in world.own_parameters()]
    drawn = [sources[0].labelled(i, np.array([2, 5, 3, 4])) for i in range(3)]
    apart = step_batch(
        [*drawn, np.array([2, 5, 1]), np.array([7, 0])], each_alone(world.data), ASSEMBLER, CPU
    )
    assert together.tokens < apart.tokens
    world.step(apart)
    assert_rows_close(shared[None], world.written()[None])
    for before, parameter in zip(heads, world.own_parameters(), strict=True):
        torch.testing.assert_close(before, _gradient(parameter), rtol=1e-4, atol=1e-6)


def _gradient(parameter: torch.nn.Parameter) -> torch.Tensor:
    gradient = parameter.grad
    return torch.zeros_like(parameter) if gradient is None else gradient.clone()


def test_a_method_sees_a_source_as_one_task(random_split: Split, tiny_encoder: Callable) -> None:
    """Weights act on the source, and so on the heads of all its tasks."""
    world = shared_world(random_split, tiny_encoder, ROWS["all"])
    sources = sources_of_world(world)
    tasks: list[list[Task]] = [[part.task for part in source.parts] for source in sources]
    combination = world.learner.combination
    of = type(combination).of
    world.learner.combination = of(
        tasks, combination.method.method, combination.balancing.method,
        options={"fixed": {"weights": {"intent+mood+pooled": 0.25, "quora": 2.0, "sts": 1.0}}},
    )  # fmt: skip
    batch = drawn_batch(sources)
    losses, _ = separate(world, batch)
    heads = [list(world.model.heads[task.name].parameters()) for task in world.tasks]
    plain = [
        torch.autograd.grad(loss, head, retain_graph=True)
        for loss, head in zip(losses, heads, strict=True)
    ]
    record = world.step(batch)
    assert record.balance == pytest.approx([0.25, 2.0, 1.0])
    for weight, gradients, head in zip((0.25, 0.25, 0.25, 2.0, 1.0), plain, heads, strict=True):
        for gradient, parameter in zip(gradients, head, strict=True):
            torch.testing.assert_close(parameter.grad, weight * gradient, rtol=1e-4, atol=1e-7)


def test_a_weight_of_0_leaves_a_task_out_of_its_source(
    random_split: Split, tiny_encoder: Callable
) -> None:
    """Its head has no gradient, so nothing of it decays; rows that it alone labels aren't drawn."""
    for rows in ROWS.values():
        world = shared_world(random_split, tiny_encoder, rows)
        weights = (1.0, 0.0, 2.0)
        sources = sources_of_world(world, weights)
        every = np.unique(np.concatenate([rows[0], rows[2]]))
        np.testing.assert_array_equal(sources[0].rows, every)
        drawn = [np.arange(len(every)), np.array([2, 5, 1]), np.array([7, 0])]
        batch = step_batch(drawn, sources, ASSEMBLER, CPU)
        assert set(batch.present) == {0, 2, 3, 4}
        _, gradients = separate(world, batch)
        of_task = dict(zip(batch.present, gradients, strict=True))
        world.step(batch)
        shared = weights[0] * of_task[0] + weights[2] * of_task[2]
        assert_rows_close(world.jacobian.J, torch.stack([shared, of_task[3], of_task[4]]))
        assert all(p.grad is None for p in world.model.heads["mood"].parameters())


def test_a_source_whose_weights_are_all_0_is_still_packed(random_split: Split) -> None:
    store = random_split(SST, 4).store
    data = [TaskData(task, store, np.arange(4)) for task in SHARED]
    source = Source.of((0, 1, 2), data, (0.0, 0.0, 0.0))
    assert len(source) == 4
    assert all((places >= 0).all() for places in source.places)
