"""Metrics of ranked candidates: against scikit-learn, against all orders of ties, by hand."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from accord.metrics import get_metric


def drawn(seed: int, rows: int, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores and grades with many ties, NaN behind rows, and how many candidates each has."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, most + 1, rows)
    scores, grades = np.full((2, rows, most), np.nan)
    for i, size in enumerate(sizes):
        scores[i, :size] = rng.integers(-3, 3, size) / 3
        grades[i, :size] = rng.integers(0, 4, size) * rng.choice([0.5, 1])
    return scores, grades, sizes


@pytest.mark.quick("ndcg-None-2", "ndcg-None-11", "ndcg_at_10-10-40")
@pytest.mark.parametrize("most", [2, 5, 11, 40])
@pytest.mark.parametrize(("name", "k"), [("ndcg", None), ("ndcg_at_10", 10)])
def test_ndcg_equals_scikit_learn_with_ties(name: str, k: int | None, most: int) -> None:
    metric = get_metric(name)
    for seed in range(20):
        scores, grades, sizes = drawn(seed, 15, most)
        each = [
            ndcg_score(grades[i : i + 1, :size], scores[i : i + 1, :size], k=k)
            for i, size in enumerate(sizes)
        ]
        assert metric(scores, grades) == pytest.approx(np.mean(each), abs=1e-12)
        behind = np.where(np.isnan(scores), -np.inf, scores)
        assert metric(behind, grades) == pytest.approx(np.mean(each), abs=1e-12)


def test_mrr_is_the_mean_over_all_orders_of_ties() -> None:
    for seed in range(40):
        scores, grades, sizes = drawn(seed, 3, 6)
        means = []
        for s, g, size in zip(scores, grades, sizes, strict=True):
            ranks = []
            for tie in itertools.permutations(range(size)):
                order = sorted(range(size), key=lambda i: (-s[i], tie[i]))
                ranks.append(next((r for r, i in enumerate(order, 1) if g[i] > 0), np.inf))
            means.append(np.mean(1 / np.array(ranks)))
        assert get_metric("mrr")(scores, grades) == pytest.approx(np.mean(means), abs=1e-12)


def test_worked_values() -> None:
    nan = np.nan
    scores = np.array([[0.9, 0.1, 0.5], [2.0, 1.0, nan], [3.0, 2.0, 1.0]])
    grades = np.array([[0, 1, 2], [1, 0, nan], [0, 0, 4]])
    assert get_metric("mrr")(scores, grades) == pytest.approx((1 / 2 + 1 + 1 / 3) / 3)
    log3 = np.log2(3)
    first = (2 / log3 + 1 / 2) / (2 + 1 / log3)
    assert get_metric("ndcg")(scores, grades) == pytest.approx((first + 1 + 1 / 2) / 3)


def test_a_constant_is_as_good_as_chance() -> None:
    grades = np.array([[1.0, 0, 0, 0], [0, 3, np.nan, np.nan]])
    ranks = (1 + 1 / 2 + 1 / 3 + 1 / 4) / 4
    assert get_metric("mrr").best_constant(grades).value == pytest.approx((ranks + 0.75) / 2)
