"""A step with memories: what it writes is the equation's answer for gradients taken one by one."""

import numpy as np
import pytest
import torch
from scipy.optimize import nnls
from worlds import APART, QUORA, SST, STS, MakeEncoder, Split, World

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
        found = made.written().double().numpy()
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
        opposed += not np.allclose(expected, J[[0, 2]].sum(0))
        for place, task in enumerate(TASKS):
            gradients = [p.grad is None for p in made.model.own_parameters(place)]
            assert all(own == (task.name in FINISHED) for own in gradients)
    assert opposed > 1


def test_without_memories_in_a_step_it_is_the_sum(
    tiny_encoder: MakeEncoder, random_split: Split
) -> None:
    combination = Combination.of(TASKS, get_method("gem"), finished=FINISHED)
    made = World(TASKS, tiny_encoder(), random_split, combination=combination)
    batch = made.batch([3, 0, 2, 0])
    assert made.step(batch).weights == [[1.0, 1.0]]
