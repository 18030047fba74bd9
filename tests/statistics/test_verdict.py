"""Holm's procedure, verdicts that agree with their intervals, and plans, against statsmodels."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from accord.errors import UsageError
from accord.evaluation.metrics import metric_value
from accord.statistics.baselines import best_constant
from accord.statistics.crossed import Difference
from accord.statistics.multiplicity import holm
from accord.statistics.planning import (
    detectable,
    rows_needed,
    seeds_needed,
    with_rows,
    with_seeds,
)
from accord.statistics.verdict import KINDS, verdicts


def made(value=0.0, seed=1e-4, row=0.0, freedom=4.0, seeds=5, paired=True, interaction=0.0):
    ours = tuple(range(seeds))
    theirs = ours if paired else tuple(range(seeds, 2 * seeds))
    return Difference(
        value, seed, row, interaction, freedom, 999.0, ours, theirs, (value,) * seeds,
        (0.0,) * seeds, 1000,
    )  # fmt: skip


def test_holm_is_statsmodels():
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    rng = np.random.default_rng(0)
    for count in (1, 3, 8, 40):  # each call collects garbage: more of them would take seconds
        p_values = list(rng.random(count) ** 5)
        rejected, adjusted, *_ = multitest.multipletests(p_values, 0.05, "holm")
        steps = holm(p_values)
        assert [step.p for step in steps] == pytest.approx(list(adjusted))
        assert [step.rejected for step in steps] == list(rejected)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(deadline=None)
def test_a_family_s_levels_agree_with_its_decisions(p_values):
    """An interval of a level leaves 0 out exactly where p is below 1 minus that level."""
    for p, step in zip(p_values, holm(p_values), strict=True):
        if abs(p - (1 - step.level)) > 1e-12:
            assert step.rejected == (p < 1 - step.level)


differences = st.builds(
    made,
    value=st.floats(-0.1, 0.1).map(lambda v: round(v, 4)),
    seed=st.floats(1e-8, 1e-3),
    row=st.floats(0, 1e-3),
    freedom=st.floats(1, 20),
)


@given(st.lists(differences, min_size=1, max_size=6))
@settings(deadline=None, max_examples=60)
def test_a_shown_interval_agrees_with_its_verdict(family):
    for own, found in zip(family, verdicts(family), strict=True):
        assert found.p_adjusted is not None
        if abs(found.p_adjusted - 0.05) < 1e-9:
            continue  # the interval ends at 0
        assert (found.kind in ("better", "worse")) == (found.p_adjusted < 0.05)
        assert (found.kind == "better") == (found.low > 0)
        assert (found.kind == "worse") == (found.high < 0)
        assert (found.low, found.high) == own.interval(found.level)


def test_each_kind_has_its_case():
    clear, weak = made(0.05), made(0.001, seed=1e-7)
    one_run = replace(made(0.05, seeds=1), seed_variance=0.0, row_variance=1e-6)
    same = replace(made(seed=0.0), degenerate="identical predictions")
    family = [clear, made(-0.05), made(0.002, 1e-6), made(), clear, one_run, same]
    found = verdicts(family, margin=0.01, learnt=[True] * 4 + [False, True, True])
    assert [own.kind for own in found] == [
        "better", "worse", "as good", "no difference shown", "learnt nothing", "one run each",
        "identical",
    ]  # fmt: skip
    assert {own.kind for own in found} == set(KINDS)
    assert found[2].word == "as good, within 1 point"
    assert found[5].p_adjusted is None
    assert found[5].level == 0.95
    assert "over rows alone" in found[5].explanation
    # Shown to differ, though by less than what matters: nothing to act on.
    assert verdicts([weak], margin=0.01)[0].kind == "as good"
    assert verdicts([weak])[0].kind == "better"
    assert verdicts([made(0.002, 1e-6)])[0].kind == "no difference shown"
    # The same class every time on both sides is no success.
    assert verdicts([same], learnt=[False])[0].kind == "learnt nothing"
    constant = replace(made(0.5, seed=0.0), degenerate="constant difference")
    assert verdicts([constant])[0].kind == "better"
    assert "differs by the same" in verdicts([constant])[0].explanation


def test_one_run_each_does_not_cost_the_others():
    one_run = replace(made(0.05, seeds=1), row_variance=1e-6)
    both = verdicts([made(0.03), one_run])
    assert both[0].p_adjusted == pytest.approx(made(0.03).p)
    assert verdicts([made(0.03)] * 2)[0].p_adjusted == pytest.approx(2 * made(0.03).p)


def test_what_does_not_fit_is_said():
    with pytest.raises(UsageError, match="margin should be above 0"):
        verdicts([made()], margin=0.0)
    with pytest.raises(UsageError, match="of 2 differences, not of 1"):
        verdicts([made()], learnt=[True, True])
    with pytest.raises(UsageError, match="probabilities"):
        holm([1.2])
    with pytest.raises(UsageError, match="power should be"):
        detectable(made(), 0.95, 1.0)
    with pytest.raises(UsageError, match="above 0"):
        seeds_needed(made(), 0.95, effect=0.0)


@pytest.mark.parametrize("count", [3, 5, 12])
def test_the_detectable_difference_is_that_of_the_paired_test(count):
    power = pytest.importorskip("statsmodels.stats.power")
    found = detectable(made(seed=1 / count, freedom=count - 1.0, seeds=count), 0.95)
    # In standard deviations; the chance of showing the wrong sign is nothing.
    assert found == pytest.approx(
        power.TTestPower().solve_power(nobs=count, power=0.8, alpha=0.05), rel=1e-3
    )


def test_the_detectable_difference_of_many_seeds_and_rows_is_normal():
    found = detectable(made(seed=3e-4, row=1e-4, freedom=9999.0), 0.99, 0.9)
    assert found == pytest.approx(0.02 * (stats.norm.isf(0.005) + stats.norm.isf(0.1)), rel=2e-3)


@pytest.mark.parametrize("paired", [True, False])
def test_seeds_needed_are_those_of_the_t_test(paired):
    power = pytest.importorskip("statsmodels.stats.power")
    deviation, count = 0.012, 4
    variance = deviation**2 / count * (1 if paired else 2)
    found = made(seed=variance, seeds=count, paired=paired, freedom=3.0 if paired else 6.0)
    test = power.TTestPower() if paired else power.TTestIndPower()
    wanted = test.solve_power(effect_size=0.01 / deviation, alpha=0.05, power=0.8)
    assert seeds_needed(found, 0.95) == int(np.ceil(wanted))


def test_rows_too_few_for_any_seeds_are_told():
    found = made(row=4e-5, seed=1e-5, interaction=5e-6)
    assert seeds_needed(found, 0.95, effect=0.01) is None
    rows = rows_needed(found, 0.95, effect=0.01, seeds=20)
    assert rows is not None
    many = with_seeds(found, 20)
    assert (
        detectable(with_rows(many, rows), 0.95)
        <= 0.01
        < detectable(with_rows(many, rows - 1), 0.95)
    )
    assert rows_needed(made(seed=1e-3), 0.95, effect=0.01) is None
    one_run = made(seeds=1)
    assert detectable(one_run, 0.95) == np.inf
    assert seeds_needed(one_run, 0.95) is rows_needed(one_run, 0.95) is None
    assert detectable(made(seed=0.0), 0.95) == 0


def test_the_best_constant_is_the_best_of_all():
    rng = np.random.default_rng(0)
    for classes in (2, 3, 7):
        labels = rng.integers(0, classes, 40)
        for metric in ("accuracy", "macro_f1", "f1"):
            for positive in range(classes) if metric == "f1" else [None]:
                found = best_constant(metric, labels, positive)
                every = [metric_value(metric, np.full(40, c), labels, positive)
                         for c in range(classes)]  # fmt: skip
                assert found.value == max(every) == every[found.label]
    names = ["ham", "spam", "other"]
    labels = np.array([0, 0, 1, 2, 2, 2])
    found = best_constant("accuracy", labels)
    assert (found.value, found.name(names)) == (0.5, "always 'other'")
    assert (
        found.remark("accuracy", 0.5, names)
        == "accuracy 0.5000 is no better than always saying 'other'"
    )
    assert found.remark("accuracy", 0.51, names) == ""
    correlation = best_constant("pearson", labels)
    assert (correlation.name(()), correlation.remark("pearson", -0.1, ())) == (
        "a constant", "pearson -0.1000 is no better than any constant"
    )  # fmt: skip
    assert best_constant("spearman", np.arange(4.0)).value == 0
    with pytest.raises(UsageError, match="no labels"):
        best_constant("f1", np.zeros(0))
    with pytest.raises(UsageError, match="unknown metric"):
        best_constant("rouge", labels)
