"""The expected calibration error beside what chance alone gives."""

import numpy as np
import pytest
from scipy.stats import binom

from accord.report.figures.calibration import calibration_error, chance_errors


@pytest.mark.parametrize("rows", [10, 50, 400])
@pytest.mark.parametrize("probability", [0.55, 0.85])
def test_of_one_bin_by_the_binomial_distribution(rows: int, probability: float) -> None:
    """All rows as sure: the error is |k/n − p|, k binomial."""
    errors = chance_errors(np.full(rows, probability))
    right = np.arange(rows + 1)
    each, chances = np.abs(right / rows - probability), binom.pmf(right, rows, probability)
    deviation = np.sqrt((each**2 @ chances) - (each @ chances) ** 2)
    assert errors.mean() == pytest.approx(each @ chances, abs=4 * deviation / 1000**0.5)
    assert np.isin(errors.round(9), each.round(9)).all()


@pytest.mark.quick("300")
@pytest.mark.parametrize("rows", [30, 300, 3_000])
def test_a_calibrated_model_is_within_chance_and_a_boastful_one_is_not(rows: int) -> None:
    """97.5 % of calibrated models are, so that fewer than 17 of 20 would be 1 in 10,000."""
    random = np.random.default_rng(3)
    within = beyond = 0
    for _ in range(20):
        confidence = random.uniform(0.4, 1, rows)
        high = np.percentile(chance_errors(confidence), 97.5)
        within += calibration_error(confidence, random.random(rows) < confidence) <= high
        beyond += calibration_error(confidence, random.random(rows) < confidence - 0.35) > high
    assert within >= 17
    assert beyond >= 17


def test_chance_falls_with_the_root_of_the_rows_and_is_drawn_by_a_seed() -> None:
    random = np.random.default_rng(4)
    few, many = (random.uniform(0.3, 1, rows) for rows in (100, 10_000))
    ratio = chance_errors(few).mean() / chance_errors(many).mean()
    assert ratio == pytest.approx(10, rel=0.1)
    assert np.array_equal(chance_errors(few), chance_errors(few))
    assert not np.array_equal(chance_errors(few), chance_errors(few, 1))
