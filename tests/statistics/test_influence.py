"""Influence values against the jackknife by hand, and standard errors against re-ranking."""

import numpy as np
import pytest
from scipy import stats

from accord.errors import AccordError, UsageError
from accord.evaluation.metrics import METRICS, macro_f1, metric_value
from accord.statistics.influence import VALUES, influence, macro_f1_values


def data(metric, n, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    if metric in ("accuracy", "f1", "macro_f1"):
        labels = rng.integers(0, classes, n)
        return labels, np.where(rng.random(n) < 0.6, labels, rng.integers(0, classes, n))
    labels = np.round(rng.normal(size=n), 1)  # with ties
    return labels, np.round(labels + 0.5 * rng.normal(size=n), 1)


@pytest.mark.parametrize(
    ("metric", "classes", "positive"),
    [
        ("accuracy", 3, None), ("f1", 2, None), ("f1", 2, 0), ("f1", 3, 2), ("macro_f1", 2, None),
        ("macro_f1", 3, None), ("pearson", 2, None), ("spearman", 2, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("n", [40, 100])
def test_values_are_the_jackknife_s(metric, classes, positive, n):
    labels, predictions = data(metric, n, classes)

    def of(predictions, labels):
        return metric_value(metric, predictions, labels, positive)

    value, each = influence(metric, labels, predictions, positive=positive)
    without = [of(np.delete(predictions, i), np.delete(labels, i)) for i in range(n)]
    jackknife = (n - 1) * (np.mean(without) - np.array(without))
    assert value == of(predictions, labels)
    assert each.mean() == pytest.approx(0, abs=1e-12)
    # Spearman's is to O(1/n); the others are exact.
    tolerance = 2 / n if metric == "spearman" else 1e-10
    np.testing.assert_allclose(each, jackknife, atol=tolerance)
    assert each.std() == pytest.approx(jackknife.std(), rel=0.02 if metric == "spearman" else 1e-9)


@pytest.mark.parametrize("metric", METRICS)
def test_many_at_once_are_each_by_itself(metric):
    pairs = [data(metric, 50, seed=seed) for seed in range(3)]
    value, each = VALUES[metric](np.stack([y for y, _ in pairs]), np.stack([x for _, x in pairs]))
    for i, (labels, predictions) in enumerate(pairs):
        one, values = influence(metric, labels, predictions)
        assert value[i] == pytest.approx(one, abs=1e-13)
        np.testing.assert_allclose(each[i], values, atol=1e-12)


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
    assert value == macro_f1(predictions, labels)
    assert np.isfinite(each).all()
    assert macro_f1_values(labels, predictions)[0] == pytest.approx(value)
    assert np.isfinite(influence("f1", labels, predictions, positive=2)[1]).all()


@pytest.mark.parametrize("metric", ["pearson", "spearman"])
def test_a_nearly_constant_side_counts_as_constant(metric):
    labels = np.arange(30.0)
    for predictions in (np.full(30, 0.3), 0.3 + 1e-14 * np.arange(30)):
        value, each = influence(metric, labels, predictions)
        assert value == METRICS[metric](predictions, labels) == 0.0
        assert (each == 0).all()
    together, _ = VALUES[metric](labels, np.stack([labels, np.full(30, 0.3)]))
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
    parts = [METRICS[metric](predictions[halves == h], labels[halves == h]) for h in (0, 1)]
    assert value == pytest.approx(parts[0] / 3 + 2 * parts[1] / 3)
    errors = [
        influence(metric, labels[halves == h], predictions[halves == h])[1].std() / np.sqrt(n)
        for h, n in ((0, 100), (1, 200))
    ]
    assert each.std() / np.sqrt(300) == pytest.approx(np.hypot(errors[0] / 3, 2 * errors[1] / 3))
    assert each.mean() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("metric", ["accuracy", "f1", "macro_f1"])
def test_halves_of_a_classification_are_taken_together(metric):
    labels, predictions = data(metric, 60)
    value, each = influence(metric, labels, predictions, np.arange(60) % 2)
    plain, values = influence(metric, labels, predictions)
    assert value == plain
    assert (each == values).all()


def test_a_half_of_too_few_rows_is_left_out():
    labels, predictions = np.array([1.0, 2, 3, 4]), np.array([1.0, 2, 4, 9])
    value, each = influence("pearson", labels, predictions, np.array([0, 0, 0, 1]))
    assert value == pytest.approx(METRICS["pearson"](predictions[:3], labels[:3]))
    assert each[3] == 0
    value, each = influence("pearson", labels[:2], predictions[:2], np.array([0, 1]))
    assert (value, each.tolist()) == (0.0, [0.0, 0.0])


def test_what_does_not_fit_is_said():
    labels = np.arange(4.0)
    with pytest.raises(UsageError, match="unknown metric 'spearmann'"):
        influence("spearmann", labels, labels)
    with pytest.raises(UsageError, match="halves should be one number a row"):
        influence("pearson", labels, labels, np.zeros(3))
    with pytest.raises(AccordError, match="not a finite number"):
        influence("pearson", labels, np.array([1, 2, np.nan, 3]))
