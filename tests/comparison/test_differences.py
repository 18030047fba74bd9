"""A task's difference on held-out rows, computed again from the files that the runs left."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import ndcg_score

from accord.comparison.differences import RowsDiffer, task_difference
from accord.errors import RunFolderError
from accord.statistics.verdict import verdicts


def rows_of(group, task):
    """Each run's held-out file, read with the csv module alone."""
    files = (run.path / "predictions" / f"{task}-heldout.csv" for run in group.runs)
    return [list(csv.DictReader(file.read_text().splitlines())) for file in files]


def accuracies(group, task):
    """Whether each run has each row right, [S, n]."""
    return np.array(
        [[row["label"] == row["prediction"] for row in rows] for rows in rows_of(group, task)],
        dtype=float,
    )


def correlations(group, task):
    """Pearson's r within halves, averaged by their sizes, plus jackknife pseudo-values, [S, n]."""

    def values(rows):
        x, y = (np.array([float(row[key]) for row in rows]) for key in ("label", "prediction"))
        half = np.array([int(row["half"]) for row in rows])
        total, each = 0.0, np.zeros(len(rows))
        for h in (0, 1):
            places = np.flatnonzero(half == h)
            r = stats.pearsonr(x[places], y[places])[0]
            total += len(places) / len(rows) * r
            for place in places:
                rest = places[places != place]
                without = stats.pearsonr(x[rest], y[rest])[0]
                each[place] = (len(places) - 1) * (r - without)
            each[places] -= each[places].mean()
        return total + each

    return np.stack([values(rows) for rows in rows_of(group, task)])


def expected(ours, theirs, level):
    """The interval of runs in pairs, by the mean squares of the table of differences [S, R]."""
    d = ours - theirs
    seeds, rows = d.shape
    of_seeds, of_rows, mean = d.mean(1, keepdims=True), d.mean(0, keepdims=True), d.mean()
    ms_s = rows * ((of_seeds - mean) ** 2).sum() / (seeds - 1)
    ms_r = seeds * ((of_rows - mean) ** 2).sum() / (rows - 1)
    ms_e = ((d - of_seeds - of_rows + mean) ** 2).sum() / ((seeds - 1) * (rows - 1))
    v_s = max(ms_s, 0.03 * ms_e) / (seeds * rows)
    v_r = max(ms_r - ms_e, 0) / (seeds * rows)
    quantiles = [stats.t.ppf((1 + level) / 2, df) for df in (seeds - 1, rows - 1)]
    width = (v_s * quantiles[0] + v_r * quantiles[1]) / np.sqrt(v_s + v_r)
    return mean, mean - width, mean + width


def test_accuracy_of_pairs_is_a_two_way_analysis_of_variance(make_group, answers):
    one = make_group("one", {"sst": answers(4, 60, 0.85)})
    other = make_group("other", {"sst": answers(4, 60, 0.7, seed=1)})
    actual = task_difference("sst", one, other)
    wanted = expected(accuracies(one, "sst"), accuracies(other, "sst"), 0.95)
    assert (actual.difference.value, *actual.difference.interval(0.95)) == pytest.approx(wanted)
    assert (actual.metric, actual.evaluated_on) == ("accuracy", "dev, cross-fitted")
    assert (actual.constant, actual.learnt) == (0.5, True)
    assert actual.constant_name == "always 'neg'"


def test_a_correlation_is_that_within_each_half(make_group):
    rng = np.random.default_rng(3)
    labels = rng.uniform(0, 5, 40)
    near, far = (labels + rng.normal(0, sd, (3, 40)) for sd in (1.0, 3.0))
    near[:, ::2] += 30  # the other half's epoch has another offset, which no correlation sees
    one, other = make_group("one", {"sts": (labels, near)}), make_group("o", {"sts": (labels, far)})
    actual = task_difference("sts", one, other)
    wanted = expected(correlations(one, "sts"), correlations(other, "sts"), 0.95)
    assert (actual.difference.value, *actual.difference.interval(0.95)) == pytest.approx(wanted)
    assert (actual.constant, actual.constant_name) == (0.0, "a constant")


def ndcgs(group, task):
    """Each run's NDCG of each query, [S, n], by scikit-learn."""
    return np.array([
        [ndcg_score([json.loads(row["label"])], [json.loads(row["prediction"])]) for row in rows]
        for rows in rows_of(group, task)
    ])  # fmt: skip


def test_queries_of_unlike_numbers_of_candidates_are_the_same_rows(make_group):
    """Their arrays have NaN behind the shorter ones, which equals nothing, not even itself."""
    rng = np.random.default_rng(4)
    grades = rng.integers(0, 3, (40, 5)).astype(float)
    grades[:, 0] = 3  # else some queries would have nothing to rank
    behind = np.arange(5) >= rng.integers(2, 6, 40)[:, None]
    good, poor = (
        np.where(behind, np.nan, grades + rng.normal(0, sd, (3, 40, 5))) for sd in (0.5, 3)
    )
    grades[behind] = np.nan
    one, other = (
        make_group(name, {"docs": (grades, scores)})
        for name, scores in (("one", good), ("o", poor))
    )
    actual = task_difference("docs", one, other)
    wanted = expected(ndcgs(one, "docs"), ndcgs(other, "docs"), 0.95)
    assert (actual.difference.value, *actual.difference.interval(0.95)) == pytest.approx(wanted)
    for i, (seeds, scores) in enumerate([((0, 1, 2), good), ((3, 4, 5), good[[0, 0, 0]])]):
        sides = [
            make_group(f"{side}{i}", {"docs": (grades, scores)}, each)
            for side, each in (("ours", (0, 1, 2)), ("theirs", seeds))
        ]
        (verdict,) = verdicts([task_difference("docs", *sides).difference])
        assert verdict.kind == "identical"


@pytest.mark.parametrize("seeds", [(4, 5, 6, 7, 8), (0, 1, 2, 3, 4, 5, 6), (10, 11)])
def test_all_runs_count_whichever_seeds_are_shared(make_group, answers, seeds):
    one = make_group("one", {"sst": answers(5, 40, 0.9)}, range(5))
    other = make_group("other", {"sst": answers(len(seeds), 40, 0.6, seed=2)}, seeds)
    actual = task_difference("sst", one, other).difference
    value = accuracies(one, "sst").mean() - accuracies(other, "sst").mean()
    assert actual.value == pytest.approx(value)
    assert (len(actual.ours), len(actual.theirs)) == (5, len(seeds))
    assert actual.pairs == len({*range(5)} & {*seeds})


def test_without_a_shared_seed_it_is_welch_s_on_the_seeds_part(make_group, answers):
    one = make_group("one", {"sst": answers(3, 50, 0.9)}, (0, 1, 2))
    other = make_group("other", {"sst": answers(4, 50, 0.6, seed=2)}, (5, 6, 7, 8))
    actual = task_difference("sst", one, other).difference
    a, b = accuracies(one, "sst").mean(1), accuracies(other, "sst").mean(1)
    welch = stats.ttest_ind(a, b, equal_var=False)
    assert actual.seed_variance == pytest.approx(a.var(ddof=1) / 3 + b.var(ddof=1) / 4)
    assert actual.seed_freedom == pytest.approx(welch.df)


def test_one_run_each_has_the_rows_interval(make_group, answers):
    one = make_group("one", {"sst": answers(1, 50, 0.9)})
    other = make_group("other", {"sst": answers(1, 50, 0.6, seed=2)})
    (actual,) = verdicts([task_difference("sst", one, other).difference])
    d = (accuracies(one, "sst") - accuracies(other, "sst"))[0]
    wanted = stats.t.interval(0.95, 49, d.mean(), stats.sem(d))
    assert (actual.kind, actual.p_adjusted) == ("one run each", None)
    assert (actual.low, actual.high) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"on": "test"}, r"\(dev, cross-fitted, 40 rows; test, 40 rows\)"),
        ({"rows": 38}, r"\(dev, cross-fitted, 40 rows; dev, cross-fitted, 38 rows\)"),
        ({"labels_seed": 8}, "40 rows; dev, cross-fitted, 40 rows"),
    ],
)
def test_runs_that_were_evaluated_on_other_rows_are_refused(make_group, answers, change, said):
    on = change.pop("on", "dev, cross-fitted")
    one = make_group("one", {"sst": answers(2, 40, 0.9)})
    other = make_group("other", {"sst": answers(**{"runs": 2, "rows": 40, "right": 0.9, **change})},
                       on=on)  # fmt: skip
    line = f"^one,seed=0, other,seed=0: evaluated on different rows of 'sst' .*{said}"
    with pytest.raises(RowsDiffer, match=line):
        task_difference("sst", one, other)
    assert issubclass(RowsDiffer, RunFolderError)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"metric": "f1", "positive": "pos"},
            r"evaluated by different metrics of 'sst' \(accuracy, F1 of 'pos'\)",
        ),
        ({"labels": ("pos", "neg")}, r"have different classes of 'sst' \(neg, pos / pos, neg\)"),
    ],
)
def test_figures_of_other_metrics_or_classes_are_refused(make_group, answers, change, said):
    one, other = (make_group(name, {"sst": answers(2, 40, 0.9)}) for name in ("one", "other"))
    for run in other.runs:
        run.tasks["sst"] = replace(run.tasks["sst"], **change)
    with pytest.raises(RowsDiffer, match=f"^one,seed=0, other,seed=0: {said}$"):
        task_difference("sst", one, other)


def test_learnt_is_above_the_best_constant_by_an_interval(make_group, answers):
    good, chance = answers(3, 60, 0.9), answers(3, 60, 0.5, seed=5)
    groups = [make_group(f"{i}", {"sst": each}) for i, each in enumerate((good, chance, chance))]
    assert task_difference("sst", groups[0], groups[1]).learnt
    assert task_difference("sst", groups[1], groups[0]).learnt
    assert not task_difference("sst", groups[1], groups[2]).learnt
