"""The correction against gradients whose noise is known, since we made it."""

import numpy as np
import pytest

from accord.report.attenuation import corrected_cosine, reliability

COLUMNS = 200


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Row by row."""
    sizes = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray((a * b).sum(1) / sizes)


def measured(
    true: float, noise: tuple[float, float], steps: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cosines of two tasks' whole batches, and of each one's halves in batches of their own.

    Signals of length 1; a whole batch's noise has the given length, a half's is √2 times that.
    """
    turn = np.linalg.qr(random.standard_normal((COLUMNS, 2)))[0].T
    signals = (turn[0], true * turn[0] + np.sqrt(1 - true**2) * turn[1])

    def batch(task: int, share: float) -> np.ndarray:
        drawn = random.standard_normal((steps, COLUMNS)) / np.sqrt(COLUMNS)
        return np.asarray(signals[task] + noise[task] / np.sqrt(share) * drawn)

    halves = [cosine(batch(task, 0.5), batch(task, 0.5)) for task in (0, 1)]
    return cosine(batch(0, 1), batch(1, 1)), halves[0], halves[1]


@pytest.mark.parametrize("true", [0.6, 0.0, -0.4])
def test_the_true_cosine_is_recovered(true: float) -> None:
    pair, first, second = measured(true, (2.0, 3.0), 5_000, np.random.default_rng(0))
    actual = corrected_cosine([pair], [first], [second])
    assert actual.value == pytest.approx(true, abs=0.03)
    assert actual.low is not None
    assert actual.high is not None
    assert actual.low < true < actual.high
    assert abs(pair.mean()) <= abs(true) / 5 + 0.01  # r = 1/5 and 1/10: what it is without
    # Halves themselves in r's place, as if they were whole batches, would have given too much.
    naive = pair.mean() / np.sqrt(first.mean() * second.mean())
    assert abs(naive) >= 1.5 * abs(true)


def test_whole_batches_have_the_reliability_that_halves_foretell() -> None:
    random = np.random.default_rng(1)
    same, halves, _ = measured(1.0, (2.0, 2.0), 5_000, random)
    assert reliability(float(halves.mean())) == pytest.approx(same.mean(), abs=0.01)
    assert reliability(float(halves.mean())) == pytest.approx(1 / (1 + 2.0**2), abs=0.01)


@pytest.mark.quick("1")
@pytest.mark.parametrize("runs", [1, 4])
def test_intervals_hold_the_true_cosine_as_often_as_they_say(runs: int) -> None:
    """Within what 100 tries can tell: 95 holds, and 88 is three standard errors below."""
    random, held = np.random.default_rng(2), 0
    for _ in range(100):
        series = [measured(0.3, (1.5, 2.0), 60 // runs, random) for _ in range(runs)]
        actual = corrected_cosine(*map(list, zip(*series, strict=True)))
        assert actual.runs == runs
        assert actual.low is not None
        assert actual.high is not None
        held += actual.low <= 0.3 <= actual.high
    assert held >= 88


def test_undefined_and_without_an_interval() -> None:
    ones = np.ones(20)
    alternating = np.where(np.arange(20) % 2, 1.0, -0.9)  # positive on average, and just so
    assert corrected_cosine([ones], [-ones], [ones]).value is None
    assert corrected_cosine([ones], [np.array([])], [ones]).value is None
    assert corrected_cosine([], [], []).value is None
    unsure = corrected_cosine([0.1 * ones], [alternating], [ones])
    assert unsure.value is not None
    assert (unsure.low, unsure.high) == (None, None)
    once = corrected_cosine([ones[:1]], [ones[:1] / 3], [ones[:1] / 3])
    assert (once.value, once.low) == (pytest.approx(2.0), None)  # chance may exceed 1
    clipped = corrected_cosine([ones], [ones / 3], [ones / 3])
    assert (clipped.value, clipped.low, clipped.high) == (pytest.approx(2.0), 1.0, 1.0)


def test_runs_that_lack_a_measurement_are_left_out() -> None:
    one, none = np.array([0.1, 0.3]), np.array([])
    whole = corrected_cosine([one], [one], [one])
    assert corrected_cosine([one, one], [one, none], [one, one]) == whole
