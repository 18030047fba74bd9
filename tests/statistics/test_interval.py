"""The interval of one run's metric over rows, against other ways to the same and by simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from accord.metrics import crossfit_value, get_metric
from accord.statistics.interval import rows_interval


@given(st.integers(2, 200), st.floats(0.05, 0.95), st.integers(0, 1000))
def test_of_an_accuracy_it_is_the_t_interval_of_a_mean(rows: int, right: float, seed: int) -> None:
    labels = np.arange(rows) % 3
    hit = np.random.default_rng(seed).random(rows) < right
    found = rows_interval("accuracy", labels, np.where(hit, labels, (labels + 1) % 3))
    if hit.std() == 0:
        assert found is None
        return
    half = stats.t.ppf(0.975, rows - 1) * hit.std(ddof=1) / math.sqrt(rows)
    assert found == pytest.approx((max(0, hit.mean() - half), min(1, hit.mean() + half)))


def test_a_correlation_s_covers_the_true_one() -> None:
    """Of 300 samples of 120 rows with a correlation of 0.6, about 95 % hold it."""
    rng, covered = np.random.default_rng(0), 0
    for _ in range(300):
        x, noise = rng.normal(size=(2, 120))
        low, high = rows_interval("pearson", x, 0.6 * x + 0.8 * noise) or (1, 0)
        covered += low <= 0.6 <= high
    assert 0.91 <= covered / 300 <= 0.985


def test_it_stands_around_the_cross_fitted_value_and_narrows_with_rows() -> None:
    rng, widths = np.random.default_rng(1), []
    for rows in (60, 240, 960):
        x, halves = rng.normal(size=rows), np.arange(rows) % 2
        y = np.where(halves == 1, 5 + 3 * x, x) + rng.normal(size=rows)
        low, high = rows_interval("pearson", x, y, halves) or (1, 0)
        value = crossfit_value("pearson", x, y, halves)
        assert low < value < high
        widths.append(high - low)
    assert widths[0] > 1.5 * widths[1] > 2 * widths[2]


def test_it_stays_in_the_metric_s_range() -> None:
    labels = np.array([0] * 19 + [1])
    _, high = rows_interval("accuracy", labels, np.zeros(20, dtype=int)) or (0, 0)
    assert high == get_metric("accuracy").best == 1.0


def test_nothing_is_known_of_other_rows_by_rows_that_are_alike() -> None:
    labels = np.array([0, 1, 1])
    assert rows_interval("accuracy", labels, labels) is None
    assert rows_interval("accuracy", labels[:1], labels[:1]) is None
