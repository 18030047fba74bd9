"""Metrics: values worked by hand, definitions written out, and inputs that have no answer."""

import math

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.errors import UsageError
from accord.metrics import cs224n_score, get_metric, mean_score, overall_score

CORRELATIONS = ("pearson", "spearman")


def arrays(*rows: list[float]) -> list[np.ndarray]:
    return [np.array(row) for row in rows]


@pytest.mark.parametrize(
    ("name", "predictions", "targets", "expected"),
    [
        ("accuracy", [0, 1, 2, 2], [0, 1, 2, 0], 3 / 4),
        # Class 1: precision 2/3, recall 2/4.
        ("f1", [1, 1, 1, 0, 0, 0], [1, 1, 0, 1, 1, 0], 4 / 7),
        # Classes 0, 1, 2: F1 of 2/3, 2/3 and 1.
        ("macro_f1", [0, 1, 1, 2], [0, 0, 1, 2], (2 / 3 + 2 / 3 + 1) / 3),
        # Of two classes too: F1 of 1 / 2 and 4 / 7, and 0 of a class that no prediction names.
        ("macro_f1", [1, 1, 1, 0, 0, 0], [1, 1, 0, 1, 1, 0], (2 / 5 + 4 / 7) / 2),
        ("macro_f1", [0, 0, 0, 0], [0, 0, 0, 1], (6 / 7 + 0) / 2),
        ("f1", [0, 0, 0], [0, 0, 0], 0.0),
        ("f1", [0, 0], [1, 1], 0.0),
        # Σxy = 3, Σx² = 2 and Σy² = 14/3 about the means 2 and 7/3.
        ("pearson", [1, 2, 3], [1, 2, 4], 3 / math.sqrt(2 * 14 / 3)),
        ("pearson", [1, 2, 3], [-2, -4, -6], -1.0),
        # Rank differences 0, 1, 1, 0: 1 − 6·2 / (4·15).
        ("spearman", [1, 20, 3, 40], [0.1, 0.2, 0.3, 0.4], 0.8),
        ("spearman", [1, 10, 1000], [1, 2, 3], 1.0),
    ],
)
def test_worked_values(
    name: str, predictions: list[float], targets: list[float], expected: float
) -> None:
    value = get_metric(name)(*arrays(predictions, targets))
    assert type(value) is float
    assert value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("classes", [2, 5])
def test_classification_metrics_equal_scikit_learn(classes: int) -> None:
    rng = np.random.default_rng(classes)
    predictions, targets = rng.integers(0, classes, (2, 200))
    assert get_metric("accuracy")(predictions, targets) == np.mean(predictions == targets)
    each = sklearn.metrics.f1_score(targets, predictions, average=None)
    for positive in range(classes):
        assert get_metric("f1")(predictions, targets, positive) == each[positive]
    assert get_metric("f1")(predictions, targets) == each[1]
    assert get_metric("macro_f1")(predictions, targets) == pytest.approx(each.mean())


def test_correlations_equal_scipy_with_ties_and_in_float32() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 6, 300).astype(np.float32)
    predictions = (targets + rng.normal(0, 2, 300)).astype(np.float32)
    pair = predictions.astype(np.float64), targets.astype(np.float64)
    assert get_metric("pearson")(predictions, targets) == scipy.stats.pearsonr(*pair).statistic
    assert get_metric("spearman")(predictions, targets) == scipy.stats.spearmanr(*pair).statistic


@pytest.mark.parametrize("name", CORRELATIONS)
@pytest.mark.parametrize(
    ("predictions", "targets"),
    [
        ([2.5, 2.5, 2.5], [1.0, 2.0, 3.0]),
        ([1.0, 2.0, 3.0], [4.0, 4.0, 4.0]),
        ([0.0, 0.0], [0.0, 0.0]),
        ([1.0, 1.0 + 1e-15, 1.0 - 1e-15], [1.0, 2.0, 3.0]),
        ([1.0], [2.0]),
    ],
)
def test_correlation_of_a_constant_is_0(
    name: str, predictions: list[float], targets: list[float]
) -> None:
    assert get_metric(name)(*arrays(predictions, targets)) == 0.0


@settings(deadline=None)  # the first call imports scipy's statistics
@given(
    st.sampled_from(CORRELATIONS),
    st.lists(st.tuples(*[st.floats(-1e150, 1e150) | st.floats(-5, 5)] * 2), min_size=1, max_size=8),
)
def test_correlation_is_always_a_number(name: str, rows: list[tuple[float, float]]) -> None:
    x, y = np.array(rows).T
    assert abs(get_metric(name)(x, y)) <= 1 + 1e-12


def test_the_course_s_score_takes_a_correlation_halfway_to_one() -> None:
    # The paper's submission: 0.513, 0.797 and r = 0.332 make 0.659.
    values = {"sst": 0.513, "quora": 0.797, "sts": 0.332}
    metrics = {"sst": "accuracy", "quora": "accuracy", "sts": "pearson"}
    assert cs224n_score(values, metrics) == pytest.approx((0.513 + 0.797 + 0.666) / 3)
    assert round(cs224n_score(values, metrics), 3) == 0.659
    assert overall_score("cs224n", values, metrics) == cs224n_score(values, metrics)


def test_mean_score_takes_metrics_as_they_are() -> None:
    values = {"sst": 0.5, "sts": -0.1}
    assert mean_score(values) == pytest.approx(0.2)
    assert overall_score("mean", values, {}) == mean_score(values)


def test_course_rule_maps_every_correlation() -> None:
    values = {"a": -1.0, "b": 1.0, "c": 0.25}
    metrics = {"a": "spearman", "b": "pearson", "c": "f1"}
    assert cs224n_score(values, metrics) == pytest.approx((0.0 + 1.0 + 0.25) / 3)


def test_no_task_and_unknown_kind_are_refused() -> None:
    with pytest.raises(UsageError, match="at least one task"):
        overall_score("cs224n", {}, {})
    with pytest.raises(UsageError, match="unknown score 'means'; did you mean 'mean'"):
        overall_score("means", {"a": 1.0}, {})  # type: ignore[arg-type]


@pytest.mark.parametrize("labels", [1, 2, 6, 28])
def test_metrics_of_label_sets_equal_scikit_learn(labels: int) -> None:
    """Also of rows without a label, and of labels that no row has or that none is given."""
    for seed, rows in enumerate((1, 3, 50, 400)):
        rng = np.random.default_rng(seed)
        targets, predictions = rng.random((2, rows, labels)) < rng.random((2, 1, labels)) ** 2
        for average in ("micro", "macro", "samples"):
            name = "example_f1" if average == "samples" else f"{average}_f1"
            if labels > 1:
                theirs = sklearn.metrics.f1_score(
                    targets, predictions, average=average, zero_division=0
                )
            elif average != "samples":  # a single column is a binary classification there
                theirs = sklearn.metrics.f1_score(targets[:, 0], predictions[:, 0], zero_division=0)
            else:
                theirs = float((targets & predictions).mean())
            for kind in (bool, np.uint8, np.float64):
                value = get_metric(name)(predictions.astype(kind), targets)
                assert value == pytest.approx(theirs, abs=1e-12)
        exact = sklearn.metrics.accuracy_score(targets, predictions)
        assert get_metric("accuracy")(predictions, targets) == pytest.approx(exact, abs=1e-12)
