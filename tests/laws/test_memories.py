"""A step with memories: what it writes is the equation's answer for gradients taken one by one."""

import numpy as np
import pytest
import torch
from scipy.optimize import nnls
from worlds import APART, QUORA, SST, STS, MakeEncoder, Split, World

from accord.balancing import get_rule
from accord.gradients import get_method
from accord.training.combining import Combination

TASKS = [STS, SST, QUORA, APART]
FINISHED = ("sst", "apart")


def projected(J: np.ndarray, held: list[int], method: str) -> np.ndarray:
    g = np.delete(J, held, axis=0).sum(0)
    if method == "gem":
        M = J[held]
        return g + M.T @ nnls(M.T, -g)[0]
    r = J[held].mean(0)
    return g - min(0.0, g @ r) / (r @ r) * r


@pytest.mark.quick("gem-None", "a-gem-None")
@pytest.mark.parametrize("micro_batch_tokens", [None, 30])
@pytest.mark.parametrize("method", ["gem", "a-gem"])
def test_a_step_is_the_projection_of_the_current_gradients(
    method: str, micro_batch_tokens: int | None, tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    opposed = 0
    for seed in range(6):
        torch.manual_seed(seed)
        combination = Combination.of(TASKS, get_method(method), finished=FINISHED)
        made = World(TASKS, tiny_encoder(), random_split, combination=combination)
        for name in FINISHED:
            made.model.head(name).hold(torch.empty(0))
        batch = made.batch(micro_batch_tokens=micro_batch_tokens, seed=seed)
        assert (len(batch.passes) > 1) == (micro_batch_tokens is not None)
        made.step(batch)
        J = made.separate(batch)[1].double().numpy()
        expected = projected(J, [1, 3], method)
        numpy = made.written().double().numpy()
        np.testing.assert_allclose(numpy, expected, atol=1e-4 * np.abs(expected).max())
        opposed += not np.allclose(expected, J[[0, 2]].sum(0))
        for place, task in enumerate(TASKS):
            gradients = [p.grad is None for p in made.model.own_parameters(place)]
            assert all(gradient == (task.name in FINISHED) for gradient in gradients)
    assert opposed > 1


def test_without_memories_in_a_step_it_is_the_sum(
    tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    combination = Combination.of(TASKS, get_method("gem"), finished=FINISHED)
    made = World(TASKS, tiny_encoder(), random_split, combination=combination)
    batch = made.batch([3, 0, 2, 0])
    assert made.step(batch).weights == [[1.0, 1.0]]


def test_a_memory_s_batch_weighs_no_current_task() -> None:
    """With the paper's weights current tasks count as they do without a memory."""
    shares = {"sst": 8.0, "quora": 5.0, "apart": 2.0, "sts": 4.0}
    tasks = [task for task in TASKS if task.name not in FINISHED]
    actual = []
    for each, finished in ((TASKS, FINISHED), (tasks, ())):
        made = Combination.of(
            each, get_method("sum"), get_rule("inverse-share"), finished=finished,
            shares=lambda step, each=each: [shares.get(task.name, 3.0) for task in each],
        )  # fmt: skip
        losses = torch.ones(len(each), dtype=torch.float64)
        gramians = torch.eye(len(each), dtype=torch.float64)[None]
        balance = made.decide(losses, gramians, tuple(range(len(each))), (0, 0)).balance
        actual.append([float(balance[i]) for i, task in enumerate(each) if task in tasks])
    assert actual[0] == actual[1]


@pytest.mark.parametrize("rule", ["famo", "rlw", "uncertainty", "geometric", "gradnorm"])
@pytest.mark.parametrize("method", ["gem", "a-gem"])
def test_a_balancing_rule_weighs_no_memory_that_only_constrains(method: str, rule: str) -> None:
    """The current tasks count as they would without the memories; so does what the rule learns."""
    current = [TASKS[0], TASKS[2]]
    combination = Combination.of(TASKS, get_method(method), get_rule(rule), finished=FINISHED)
    plain = Combination.of(current, get_method("sum"), get_rule(rule))
    J = torch.randn(4, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    losses, after = torch.tensor([[1.0, 0.1, 0.5, 0.1], [0.9, 0.1, 0.2, 0.3]]).double()
    for step in range(2):
        ours = combination.decide(losses, (J @ J.T)[None], (0, 1, 2, 3), (0, step))
        kept = J[[0, 2]]
        theirs = plain.decide(losses[[0, 2]], (kept @ kept.T)[None], (0, 1), (0, step))
        assert torch.equal(ours.balance[[0, 2]], theirs.balance)
        assert ours.balance[[1, 3]].tolist() == [1.0, 1.0]
        for made, decision, rows in ((combination, ours, [0, 1, 2, 3]), (plain, theirs, [0, 2])):
            made.keep(decision)
            made.learn(losses[rows], after[rows], tuple(range(len(rows))))
