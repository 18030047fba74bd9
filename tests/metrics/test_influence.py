"""Influence values: errors against re-ranking, rare classes, nearly constant sides, halves."""

import numpy as np
import pytest
from scipy import stats

from accord.metrics import get_metric, influence


@pytest.mark.parametrize("rho", [0.0, 0.9])
def test_spearman_s_error_is_that_of_ranking_anew(rho):
    """Against the bootstrap that ranks each resample; with ranks fixed it is 9 % too small."""
    rng = np.random.default_rng(5)
    labels = rng.normal(size=400)
    predictions = rho * labels + np.sqrt(1 - rho**2) * rng.normal(size=400)
    index = rng.integers(400, size=(3000, 400))
    x, y = stats.rankdata(predictions[index], axis=1), stats.rankdata(labels[index], axis=1)
    x, y = x - x.mean(1, keepdims=True), y - y.mean(1, keepdims=True)
    resampled = (x * y).sum(1) / np.sqrt((x * x).sum(1) * (y * y).sum(1))
    _, each = influence("spearman", labels, predictions)
    # Resampling makes ties, which move the bootstrap's error by little; 3000 draws give 1.3 %.
    assert each.std() / 20 == pytest.approx(resampled.std(), rel=0.05)


def test_a_class_of_one_row_does_not_break_f1():
    labels, predictions = np.array([0, 0, 1, 1, 2, 0]), np.array([0, 0, 1, 1, 2, 3])
    value, each = influence("macro_f1", labels, predictions)
    assert value == get_metric("macro_f1")(predictions, labels)
    assert np.isfinite(each).all()
    assert np.isfinite(influence("f1", labels, predictions, positive=2)[1]).all()


@pytest.mark.parametrize("metric", ["pearson", "spearman"])
def test_a_nearly_constant_side_counts_as_constant(metric):
    labels = np.arange(30.0)
    for predictions in (np.full(30, 0.3), 0.3 + 1e-14 * np.arange(30)):
        value, each = influence(metric, labels, predictions)
        assert value == get_metric(metric)(predictions, labels) == 0.0
        assert (each == 0).all()
    together, _ = get_metric(metric).influence(np.stack([labels, np.full(30, 0.3)]), labels)
    assert together == pytest.approx([1, 0])


@pytest.mark.parametrize("metric", ["pearson", "spearman"])
def test_without_its_last_varying_row_a_side_is_constant(metric):
    predictions = np.zeros(20)
    predictions[3] = 1.0
    _, each = influence(metric, np.arange(20.0), predictions)
    assert np.isfinite(each).all()


@pytest.mark.parametrize("metric", ["pearson", "spearman"])
def test_halves_are_correlated_each_by_itself(metric):
    rng = np.random.default_rng(2)
    labels, halves = rng.normal(size=300), (np.arange(300) >= 100) * 1
    predictions = np.where(halves, 5 + 0.1 * labels, labels) + 0.1 * rng.normal(size=300)
    value, each = influence(metric, labels, predictions, halves)
    parts = [get_metric(metric)(predictions[halves == h], labels[halves == h]) for h in (0, 1)]
    assert value == pytest.approx(parts[0] / 3 + 2 * parts[1] / 3)
    errors = [
        influence(metric, labels[halves == h], predictions[halves == h])[1].std() / np.sqrt(n)
        for h, n in ((0, 100), (1, 200))
    ]
    assert each.std() / np.sqrt(300) == pytest.approx(np.hypot(errors[0] / 3, 2 * errors[1] / 3))
    assert each.mean() == pytest.approx(0, abs=1e-12)


def test_a_half_of_too_few_rows_is_left_out():
    labels, predictions = np.array([1.0, 2, 3, 4]), np.array([1.0, 2, 4, 9])
    value, each = influence("pearson", labels, predictions, np.array([0, 0, 0, 1]))
    assert value == pytest.approx(get_metric("pearson")(predictions[:3], labels[:3]))
    assert each[3] == 0
    value, each = influence("pearson", labels[:2], predictions[:2], np.array([0, 1]))
    assert (value, each.tolist()) == (0.0, [0.0, 0.0])
