"""Intervals and verdicts, against scipy and against simulated runs whose truth is known."""

import numpy as np
import pytest
from scipy import stats

from accord.errors import UsageError
from accord.judging.metrics import METRICS
from accord.judging.verdict import (
    LEAST_SEEDS,
    Difference,
    difference,
    mean_difference,
    word,
)


@pytest.fixture
def runs():
    """Predictions of S runs for 400 rows: (metric, S, quality) -> labels, predictions."""
    rng = np.random.default_rng(7)
    classes = rng.integers(0, 3, 400).astype(float)
    values = rng.normal(size=400)

    def make(metric, seeds, quality):
        if metric in ("accuracy", "f1"):
            kept = rng.random((seeds, 400)) < quality
            return classes, np.where(kept, classes, rng.integers(0, 3, (seeds, 400)))
        return values, quality * values + rng.normal(size=(seeds, 400))

    return make


@pytest.mark.parametrize("metric", METRICS)
def test_the_difference_is_that_of_the_metric_itself(runs, metric):
    labels, ours = runs(metric, 5, 0.8)
    _, theirs = runs(metric, 5, 0.5)
    found = difference(metric, labels, ours, theirs, classes=3)
    each = [
        METRICS[metric](one, labels) - METRICS[metric](two, labels)
        for one, two in zip(ours, theirs, strict=True)
    ]
    assert found.value == pytest.approx(np.mean(each), abs=1e-12)
    assert found.verdict == "better"
    assert difference(metric, labels, theirs, ours, classes=3).verdict == "worse"
    assert found.seeds == 5
    assert found.rows == 400


def test_f1_of_two_classes_is_that_of_class_1(runs):
    rng = np.random.default_rng(1)
    labels, ours, theirs = rng.integers(0, 2, (3, 200)).astype(float)
    found = difference("f1", labels, ours[None], theirs[None], classes=2)
    assert found.value == pytest.approx(METRICS["f1"](ours, labels) - METRICS["f1"](theirs, labels))


def test_with_one_run_each_the_interval_is_the_paired_one_over_rows():
    """For accuracy the bootstrap's standard error is that of a mean of paired differences."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, 3000).astype(float)
    ours = np.where(rng.random(3000) < 0.8, labels, 1 - labels)
    theirs = np.where(rng.random(3000) < 0.9, ours, 1 - ours)
    found = difference("accuracy", labels, ours[None], theirs[None], draws=4000)
    gained = (ours == labels) * 1.0 - (theirs == labels)
    paired = stats.ttest_1samp(gained, 0).confidence_interval(0.95)
    assert found.low == pytest.approx(paired.low, abs=0.001)
    assert found.high == pytest.approx(paired.high, abs=0.001)
    assert found.verdict == "not enough runs"


def test_where_rows_don_t_vary_the_interval_is_student_s_over_seeds():
    """Every row of a run is right or wrong at once in a share that differs by run alone."""
    rng = np.random.default_rng(4)
    labels = np.zeros(200_000)
    rates = [(0.5, 0.4), (0.52, 0.41), (0.48, 0.43), (0.55, 0.40), (0.51, 0.45)]
    ours = np.array([rng.random(200_000) > a for a, _ in rates], dtype=float)
    theirs = np.array([rng.random(200_000) > b for _, b in rates], dtype=float)
    found = difference("accuracy", labels, ours, theirs, draws=60)
    each = (ours == 0).mean(1) - (theirs == 0).mean(1)
    wanted = stats.ttest_1samp(each, 0).confidence_interval(0.95)
    assert found.low == pytest.approx(wanted.low, abs=0.003)
    assert found.high == pytest.approx(wanted.high, abs=0.003)


@pytest.mark.parametrize("metric", ["accuracy", "pearson"])
def test_equal_runs_show_no_difference(runs, metric):
    labels, ours = runs(metric, 5, 0.7)
    found = difference(metric, labels, ours, ours.copy(), classes=3)
    assert (found.value, found.low, found.high) == (0, 0, 0)
    assert found.verdict == "no difference shown"


def test_the_verdict_cries_wolf_in_at_most_five_of_a_hundred():
    """300 comparisons of like with like: runs differ by seed, and rows are drawn anew each time."""
    rng = np.random.default_rng(11)
    wolves, comparisons = 0, 300
    for _ in range(comparisons):
        labels = np.zeros(150)
        hard = rng.normal(size=150)  # a row is hard for all runs alike
        strength = 0.5 + 0.15 * rng.normal(size=(10, 1))
        wrong = hard + rng.normal(size=(10, 150)) > strength
        found = difference(
            "accuracy", labels, wrong[:5].astype(float), wrong[5:].astype(float), draws=60
        )
        wolves += found.verdict != "no difference shown"
    high = stats.binomtest(wolves, comparisons).proportion_ci(0.95).high
    assert wolves / comparisons <= 0.05
    assert high < 0.08


def test_a_verdict_takes_enough_seeds_and_a_clear_interval():
    assert word(0.1, 0.2, LEAST_SEEDS - 1) == "not enough runs"
    assert word(0.0, 0.2, LEAST_SEEDS) == "no difference shown"
    assert word(-0.2, -0.1, LEAST_SEEDS) == "worse"


def test_what_does_not_fit_is_said():
    labels = np.zeros(4)
    with pytest.raises(UsageError, match="unknown metric 'bleu'"):
        difference("bleu", labels, labels[None], labels[None])
    with pytest.raises(UsageError, match="two arrays"):
        difference("accuracy", labels, labels[None], np.zeros((2, 4)))


def test_one_row_or_one_constant_run_gives_numbers():
    labels = np.array([1.0, 2.0, 3.0])
    found = difference("pearson", labels, np.ones((5, 3)), labels[None].repeat(5, 0))
    assert found.value == -1
    assert np.isfinite([found.low, found.high]).all()
    assert difference("accuracy", labels[:1], labels[None, :1], labels[None, :1]).value == 0


def test_the_mean_of_one_task_is_its_own_difference(runs):
    labels, ours = runs("accuracy", 5, 0.7)
    _, theirs = runs("accuracy", 5, 0.6)
    found = difference("accuracy", labels, ours, theirs)
    assert mean_difference([found]) == found


def test_the_mean_over_tasks_pairs_by_seed_and_adds_the_rows_errors(runs):
    parts = []
    for metric in ("accuracy", "pearson"):
        labels, ours = runs(metric, 6, 0.8)
        parts.append(difference(metric, labels, ours, runs(metric, 6, 0.6)[1]))
    found = mean_difference(parts)
    each = np.mean([own.each for own in parts], axis=0)
    assert found.value == pytest.approx(np.mean([own.value for own in parts]))
    assert found.each == pytest.approx(each)
    assert found.rows_error == pytest.approx(np.hypot(*(own.rows_error for own in parts)) / 2)
    error = np.hypot(found.rows_error, each.std(ddof=1) / np.sqrt(6))
    assert 1.9 * error < found.high - found.value < 2.6 * error


def test_the_mean_of_unlike_numbers_of_runs_is_refused(runs):
    labels, ours = runs("accuracy", 3, 0.7)
    some = difference("accuracy", labels, ours, ours)
    with pytest.raises(UsageError, match="not of equally many runs"):
        mean_difference([some, difference("accuracy", labels, ours[:2], ours[:2])])


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("rows_error", [0.0, 0.5, 1.0, 4.0])
def test_the_interval_covers_what_it_says_whatever_the_number_of_seeds(seeds, rows_error):
    """Two sources of chance, each normal: how often is the truth, 0, inside?"""
    rng, inside, draws = np.random.default_rng(2), 0, 4000
    for _ in range(draws):
        each = rng.normal(size=seeds) * np.sqrt(seeds) + rows_error * rng.normal()
        found = mean_difference([
            Difference(float(each.mean()), 0, 0, seeds, 300, "better", tuple(each), rows_error)
        ])  # fmt: skip
        inside += found.low <= 0 <= found.high
    assert inside / draws > 0.95 - 3 * np.sqrt(0.95 * 0.05 / draws)
