"""Variances and intervals against analyses of variance, t-tests and simulated runs."""

import numpy as np
import pytest
from scipy import stats

from accord.errors import UsageError
from accord.evaluation.metrics import METRICS
from accord.statistics.components import components, seed_freedom, seed_variance
from accord.statistics.crossed import (
    Difference,
    Side,
    against_constant,
    difference,
    mean_difference,
)
from accord.statistics.quantile import half_width, p_value


def all_pairs(count):
    return [(i, i) for i in range(count)]


def made(seeds, theirs=None, rows=200, quality=(0.8, 0.6), metric="accuracy", seed=0):
    """Labels and two sides by seeds."""
    rng = np.random.default_rng(seed)
    sides = []
    labels = (
        rng.normal(size=rows) if metric in ("pearson", "spearman") else rng.integers(0, 3, rows)
    )
    for own, good in zip((seeds, theirs or seeds), quality, strict=True):
        shape = len(own), rows
        if metric in ("pearson", "spearman"):
            predictions = good * labels + rng.normal(size=shape)
        else:
            predictions = np.where(rng.random(shape) < good, labels, rng.integers(0, 3, shape))
        sides.append(Side(tuple(own), predictions))
    return labels, *sides


def test_the_components_are_those_of_the_two_way_table():
    """Hillis' [MS_S + max(MS_R − MS_E, 0)] / (S R), the mean squares by hand."""
    rng = np.random.default_rng(1)
    for row_effect in (1.0, 0.0):
        ours, theirs = rng.normal(size=(2, 4, 30))
        ours += rng.normal(size=(4, 1)) + row_effect * rng.normal(size=30)
        d = ours - theirs
        by_seed, by_row, mean = d.mean(1), d.mean(0), d.mean()
        ms_s = 30 * ((by_seed - mean) ** 2).sum() / 3
        ms_r = 4 * ((by_row - mean) ** 2).sum() / 29
        ms_e = ((d - by_seed[:, None] - by_row + mean) ** 2).sum() / (3 * 29)
        found = components(ours, theirs, all_pairs(4))
        assert found.seed == pytest.approx(ms_s / 120)
        assert found.interaction == pytest.approx(ms_e / 120)
        assert found.row == pytest.approx(max(ms_r - ms_e, 0) / 120)


@pytest.mark.filterwarnings("ignore")  # statsmodels' own
def test_the_components_are_those_of_a_mixed_model():
    """REML with crossed effects agrees with the analysis of variance where the design balances."""
    pytest.importorskip("statsmodels")
    pd = pytest.importorskip("pandas")
    from statsmodels.regression.mixed_linear_model import MixedLM

    rng = np.random.default_rng(3)
    S, R = 6, 12
    d = 1 + rng.normal(size=(S, 1)) + 0.8 * rng.normal(size=R) + 0.5 * rng.normal(size=(S, R))
    table = pd.DataFrame({
        "d": d.ravel(), "one": 1, "seed": np.repeat(np.arange(S), R), "row": np.tile(range(R), S),
    })  # fmt: skip
    fitted = MixedLM.from_formula(
        "d ~ 1", groups="one", vc_formula={"row": "0 + C(row)", "seed": "0 + C(seed)"}, data=table
    ).fit(reml=True)
    row, seed = fitted.vcomp
    found = components(d, np.zeros((S, R)), all_pairs(S))
    assert found.row == pytest.approx(row / R, rel=1e-3)
    assert found.interaction == pytest.approx(fitted.scale / (S * R), rel=1e-3)
    assert found.seed == pytest.approx(seed / S + fitted.scale / (S * R), rel=1e-3)
    assert found.seed + found.row == pytest.approx(fitted.bse_fe.iloc[0] ** 2, rel=1e-3)


def interval_of_means(a, b, pairs):
    """Runs whose rows are all alike: only seeds vary."""
    parts = components(a[:, None].repeat(50, 1), b[:, None].repeat(50, 1), pairs)
    width = half_width(0.05, parts.seed, parts.seed_freedom, parts.row, parts.row_freedom)
    p = p_value(a.mean() - b.mean(), parts.seed, parts.seed_freedom, parts.row, parts.row_freedom)
    value = a.mean() - b.mean()
    return value - width, value + width, p


def test_paired_seeds_alone_are_student_s_paired_test():
    a, b = np.random.default_rng(0).normal(size=(2, 5))
    low, high, p = interval_of_means(a, b, all_pairs(5))
    wanted = stats.ttest_rel(a, b)
    assert (low, high) == pytest.approx(wanted.confidence_interval(0.95))
    assert p == pytest.approx(wanted.pvalue)


def test_unpaired_seeds_alone_are_welch_s_test():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=5), 3 * rng.normal(size=9)
    low, high, p = interval_of_means(a, b, [])
    wanted = stats.ttest_ind(a, b, equal_var=False)
    assert (low, high) == pytest.approx(wanted.confidence_interval(0.95))
    assert p == pytest.approx(wanted.pvalue)
    one_pair = interval_of_means(a, b, [(0, 0)])
    assert one_pair == pytest.approx((low, high, p))


def test_rows_alone_are_student_s_test_over_rows():
    """With one run each; for accuracy a row's value is whether it is right."""
    labels, ours, theirs = made([0])
    found = difference("accuracy", labels, ours, theirs)
    gained = (ours.predictions[0] == labels) * 1.0 - (theirs.predictions[0] == labels)
    wanted = stats.ttest_1samp(gained, 0)
    assert not found.seeds_known
    assert found.interval(0.9) == pytest.approx(wanted.confidence_interval(0.9))
    assert found.p == pytest.approx(wanted.pvalue)


def test_partly_shared_seeds_lie_between_the_two_tests():
    """By the formulas; between Welch's degrees of freedom and those of pairs."""
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=7), 2 * rng.normal(size=5)
    pairs = [(3, 0), (4, 1), (5, 2), (6, 3)]
    v1, v2 = a.var(ddof=1) / 7, b.var(ddof=1) / 5
    welch = (v1 + v2) ** 2 / (v1**2 / 6 + v2**2 / 4)
    assert 3 < seed_freedom(a, b, pairs) < welch
    assert seed_freedom(a, b, pairs[:1]) == seed_freedom(a, b, []) == pytest.approx(welch)
    assert seed_freedom(a[:5], b, all_pairs(5)) == pytest.approx(4)
    one, two = a[3:], b[:4]
    cross = ((one - one.mean()) * (two - two.mean())).sum()
    r = cross / np.sqrt(((a - a.mean()) ** 2).sum() * ((b - b.mean()) ** 2).sum())
    wanted = v1 + v2 - 2 * r * a.std(ddof=1) * b.std(ddof=1) * 4 / 35
    assert seed_variance(a, b, pairs) == pytest.approx(wanted)


@pytest.mark.parametrize(("n1", "n2", "shared"), [(7, 5, 4), (5, 5, 3), (10, 3, 3)])
def test_the_degrees_of_freedom_are_those_of_the_variance(n1, n2, shared):
    """ν = 2 V² / var(V), by drawing normal runs of no correlation 40,000 times."""
    rng = np.random.default_rng(6)
    a, b = rng.normal(size=(n1, 40_000)), 1.5 * rng.normal(size=(n2, 40_000))
    pairs = all_pairs(shared)
    variance = seed_variance(a, b, pairs)
    assert variance.mean() == pytest.approx(1 / n1 + 1.5**2 / n2, rel=0.02)
    # Runs whose variances are exactly the true ones.
    exact = stats.zscore(np.arange(n1), ddof=1), 1.5 * stats.zscore(np.arange(n2), ddof=1)
    freedom = seed_freedom(*exact, pairs)
    assert freedom == pytest.approx(2 * variance.mean() ** 2 / variance.var(), rel=0.05)


@pytest.mark.parametrize("metric", METRICS)
def test_every_run_counts_in_the_estimate(metric):
    labels, ours, theirs = made(range(5), range(3, 7), metric=metric)
    found = difference(metric, labels, ours, theirs)
    each = [[METRICS[metric](run, labels) for run in side.predictions] for side in (ours, theirs)]
    assert found.value == pytest.approx(np.mean(each[0]) - np.mean(each[1]))
    assert found.ours == pytest.approx(each[0])
    assert found.theirs == pytest.approx(each[1])
    assert (found.pairs, found.rows, found.seeds_known) == (2, 200, True)
    swapped = difference(metric, labels, theirs, ours)
    assert swapped.interval() == pytest.approx([-end for end in reversed(found.interval())])


def test_p_is_where_the_interval_first_reaches_0():
    for seed in range(5):
        labels, ours, theirs = made(range(3), range(1, 4), quality=(0.65, 0.6), seed=seed)
        found = difference("accuracy", labels, ours, theirs)
        assert min(np.abs(found.interval(1 - found.p))) == pytest.approx(0, abs=1e-10)
        assert found.margin(0.99) > found.margin(0.95)
    assert p_value(1e6, 1.0, 400, 1.0, 400) == 0.0


def test_the_order_of_seeds_does_not_matter():
    labels, ours, theirs = made(range(4), range(2, 6))
    turned = Side(theirs.seeds[::-1], theirs.predictions[::-1])
    found, other = (difference("accuracy", labels, ours, side) for side in (theirs, turned))
    assert found.interval() == pytest.approx(other.interval())


def test_like_runs_are_named():
    labels, ours, theirs = made(range(3))
    same = Side((2, 1, 0), ours.predictions[::-1])
    found = difference("accuracy", labels, ours, same)
    assert (found.value, found.error, found.p) == (0, 0, 1)
    assert found.degenerate == "identical predictions"
    right, wrong = np.stack([labels] * 3), np.stack([(labels + 1) % 3] * 3)
    found = difference("accuracy", labels, Side((0, 1, 2), right), Side((0, 1, 2), wrong))
    assert (found.value, found.interval(), found.p) == (1, (1, 1), 0)
    assert found.degenerate == "constant difference"
    assert difference("accuracy", labels, ours, theirs).degenerate == ""


def test_runs_that_tie_do_not_seem_certain():
    """Each run gains 4 rows and loses 2, all of them others: over seeds nothing seems to vary."""
    labels = np.zeros(100)
    ours, theirs = np.zeros((2, 100)), np.zeros((2, 100))
    theirs[0, :4], theirs[1, 50:54] = 1, 1
    ours[0, 10:12], ours[1, 60:62] = 1, 1
    found = difference("accuracy", labels, Side((0, 1), ours), Side((0, 1), theirs))
    assert found.value == pytest.approx(0.02)
    assert found.seed_variance > 0
    assert found.p > 0.05


def test_halves_move_the_value():
    labels, ours, theirs = made(range(3), metric="pearson")
    halves = np.tile(np.arange(200) % 2, (3, 1))
    shifted = Side(ours.seeds, ours.predictions + 100 * halves, halves)
    found = difference("pearson", labels, shifted, theirs)
    wanted = difference("pearson", labels, Side(ours.seeds, ours.predictions, halves), theirs)
    assert found.interval() == pytest.approx(wanted.interval())


def test_a_mean_over_tasks_adds_rows_and_averages_runs():
    parts = [
        difference(metric, *made(range(6), range(2, 8), metric=metric))
        for metric in ("accuracy", "pearson")
    ]
    found = mean_difference(parts)
    assert found.value == pytest.approx(np.mean([part.value for part in parts]))
    assert found.row_variance == pytest.approx(sum(part.row_variance for part in parts) / 4)
    ours, theirs = (np.mean([getattr(p, side) for p in parts], 0) for side in ("ours", "theirs"))
    pairs = [(i, i - 2) for i in range(2, 6)]
    assert found.seed_variance == pytest.approx(float(seed_variance(ours, theirs, pairs)))
    alone = mean_difference(parts[:1])
    assert alone.interval() == pytest.approx(parts[0].interval())
    with pytest.raises(UsageError, match="same runs, by seed"):
        mean_difference([parts[0], difference("accuracy", *made(range(6)))])


def test_a_side_that_learns_beats_the_constant():
    rng = np.random.default_rng(0)
    labels = (rng.random(400) < 0.3).astype(int)
    constant = Side((0, 1, 2), np.zeros((3, 400), int))
    assert against_constant("accuracy", labels, constant).lower() == 0
    good = Side((0, 1, 2), np.where(rng.random((3, 400)) < 0.9, labels, 1 - labels))
    found = against_constant("accuracy", labels, good)
    assert found.value == pytest.approx(np.mean(found.ours) - (labels == 0).mean())
    assert found.seed_freedom == 2
    assert found.lower() > 0
    noise = Side((0, 1, 2), rng.normal(size=(3, 400)))
    found = against_constant("spearman", labels, noise)
    assert found.theirs == (0,)
    one_sided = stats.t.ppf(0.95, 2) * np.std(found.ours, ddof=1) / np.sqrt(3)
    if found.row_variance == 0:
        assert found.value - found.lower() == pytest.approx(one_sided)
    assert found.lower() < 0
    assert not against_constant("pearson", labels, Side((0,), good.predictions[:1])).seeds_known


@pytest.mark.parametrize(
    ("count", "low", "high"), [(2, 0.935, 1), (3, 0.93, 0.985), (5, 0.93, 0.98)]
)
def test_the_interval_covers_what_it_says(count, low, high):
    rng, draws = np.random.default_rng(8), 4000
    ours, theirs = rng.normal(size=(2, count, draws, 60))
    ours += 0.15 * rng.normal(size=(count, draws, 1)) + 0.5 * rng.normal(size=(draws, 60))
    found = components(ours, theirs, all_pairs(count))
    width = half_width(0.05, found.seed, found.seed_freedom, found.row, found.row_freedom)
    covered = (np.abs(ours.mean((0, 2)) - theirs.mean((0, 2))) <= width).mean()
    assert low <= covered <= high


def test_few_rows_give_numbers():
    one = Side((0, 1), np.array([[1], [0]]))
    found = difference("accuracy", np.array([1]), one, Side((0, 1), np.array([[1], [1]])))
    assert np.isfinite([found.value, *found.interval(), found.p]).all()
    alone = difference(
        "accuracy", np.array([1]), Side((0,), np.array([[0]])), Side((1,), np.array([[1]]))
    )
    assert isinstance(alone, Difference)
    assert alone.degenerate == "constant difference"


def test_what_does_not_fit_is_said():
    labels = np.zeros(4)
    with pytest.raises(UsageError, match="unknown metric 'bleu'"):
        difference("bleu", labels, Side((0,), labels[None]), Side((0,), labels[None]))
    with pytest.raises(UsageError, match="as many labels"):
        difference("accuracy", labels, Side((0,), np.zeros((1, 5))), Side((0,), labels[None]))
    with pytest.raises(UsageError, match="a seed twice: 1, 1"):
        Side((1, 1), np.zeros((2, 4)))
    with pytest.raises(UsageError, match=r"\[seeds, rows\]"):
        Side((1, 2), np.zeros((3, 4)))
    with pytest.raises(UsageError, match="halves should be"):
        Side((1, 2), np.zeros((2, 4)), np.zeros(4))
