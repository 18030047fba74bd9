"""What every metric must satisfy, on generated predictions of its form."""

import itertools

import numpy as np
import pytest

from accord.errors import AccordError, UsageError
from accord.kinds import all_kinds
from accord.metrics import all_metrics, crossfit_value, get_metric, influence, metric_names

METRICS = [(metric, form) for metric in all_metrics() for form in metric.forms]
each_metric = pytest.mark.parametrize(
    ("metric", "form"), METRICS, ids=[f"{metric.name}-{form}" for metric, form in METRICS]
)
APPROXIMATE = ("spearman",)  # its closed form is right to O(1/n)


def data(form, rows, seed, classes=3):  # noqa: PLR0911
    """Predictions and targets with ties, right in six of ten rows or about right."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, rows)
    if form in ("classes", "ranks"):
        return np.where(rng.random(rows) < 0.6, labels, rng.integers(0, classes, rows)), labels
    if form == "label_sets":
        sets = rng.random((rows, classes)) < rng.random(classes)
        sets[np.arange(rows), labels] = True  # of a row without labels a metric's best is below 1
        return sets ^ (rng.random(sets.shape) < 0.2), sets
    if form == "scores":
        grades = rng.integers(0, 3, (rows, classes)) / 2
        grades[np.arange(rows), labels] += 1  # where none is above 0 a metric's best is below 1
        return np.round(grades + rng.normal(size=grades.shape), 1), grades
    if form in ("tags", "entities"):
        words = rng.integers(1, 9, rows)
        targets = rng.integers(0, classes, (rows, words.max()))
        targets[:, 0] = 1  # of rows without entities a metric's best is below 1
        targets[words[:, None] <= np.arange(words.max())] = -1
        predictions = np.where(
            rng.random(targets.shape) < 0.6, targets, rng.integers(0, classes, targets.shape)
        )
        return predictions.clip(0), targets
    if form == "probabilities":
        shares = rng.random((rows, classes)) + np.eye(classes)[labels]
        return shares / shares.sum(1, keepdims=True), labels
    targets = np.round(rng.normal(size=rows), 1)
    if form == "losses":
        return np.abs(targets), targets
    return np.round(targets + 0.5 * rng.normal(size=rows), 1), targets


def perfect(form, targets):
    if form == "probabilities":
        return np.eye(targets.max() + 1)[targets]
    return np.zeros(len(targets)) if form == "losses" else targets


def closed_form(metric, form):
    return metric.influence if form == metric.of else metric.set_influence


def classes_of(metric, classes):
    return (0, classes - 1) if metric.one_class else (None,)


def cases(metric, form, rows=(2, 3, 10, 40, 2, 10, 40, 3)):
    for seed, n in enumerate(rows):
        classes = (2, 3, 7)[seed % 3]
        predictions, targets = data(form, n, seed, classes)
        for positive in classes_of(metric, classes):
            yield predictions, targets, positive


@each_metric
def test_its_name_is_its_file_s_and_a_kind_is_evaluated_by_it(metric, form):
    assert get_metric(metric.name) is metric
    assert metric.name in metric_names()
    assert metric.meaning
    assert any(metric.name in kind.metrics for kind in all_kinds())
    assert metric.called("x") == (metric.title or metric.name) + " of 'x'" * metric.one_class


@each_metric
def test_perfect_predictions_are_the_best_and_all_are_in_range(metric, form):
    for predictions, targets, positive in cases(metric, form):
        value = metric(predictions, targets, positive)
        assert type(value) is float
        assert metric.lowest - 1e-12 <= value <= metric.best + 1e-12
    _, targets = data(form, 40, 0)
    for positive in classes_of(metric, 3):
        assert metric(perfect(form, targets), targets, positive) == pytest.approx(metric.best)


@each_metric
def test_the_order_of_rows_does_not_matter(metric, form):
    for predictions, targets, positive in cases(metric, form):
        order = np.random.default_rng(1).permutation(len(targets))
        turned = metric(predictions[order], targets[order], positive)
        assert turned == pytest.approx(metric(predictions, targets, positive), abs=1e-12)
        np.testing.assert_allclose(
            metric.influences(predictions[order], targets[order], positive),
            metric.influences(predictions, targets, positive)[order], atol=1e-9,
        )  # fmt: skip


@each_metric
def test_influence_is_that_of_leaving_each_row_out(metric, form):
    for predictions, targets, positive in cases(metric, form, rows=(40, 40, 100)):
        n = len(targets)
        without = [
            metric(np.delete(predictions, i, 0), np.delete(targets, i, 0), positive)
            for i in range(n)
        ]
        jackknife = (n - 1) * (np.mean(without) - np.array(without))
        each = metric.influences(predictions, targets, positive)
        rough = metric.name in APPROXIMATE
        assert each.mean() == pytest.approx(0, abs=1e-12)
        np.testing.assert_allclose(each, jackknife, atol=2 / n if rough else 1e-10)
        assert each.std() == pytest.approx(jackknife.std(), rel=0.02 if rough else 1e-9)
        if closed_form(metric, form) is not None:
            given = () if positive is None else (positive,)
            closed = closed_form(metric, form)(predictions, targets, *given)[0]
            assert closed == pytest.approx(metric(predictions, targets, positive), abs=1e-13)


@each_metric
def test_a_closed_form_of_many_runs_is_that_of_each(metric, form):
    if closed_form(metric, form) is None:
        return
    pairs = [data(form, 50, seed) for seed in range(3)]
    given = (1,) if metric.one_class else ()
    value, each = closed_form(metric, form)(*map(np.stack, zip(*pairs, strict=True)), *given)
    for i, pair in enumerate(pairs):
        assert value[i] == pytest.approx(metric(*pair), abs=1e-13)
        np.testing.assert_allclose(each[i], metric.influences(*pair), atol=1e-12)


@each_metric
def test_one_row_and_constant_sides_have_finite_figures(metric, form):
    for rows in (1, 2, 20):
        predictions, targets = data(form, rows, rows)
        constant = np.broadcast_to(predictions[:1], predictions.shape)
        for one, other in (
            (predictions, targets), (constant, targets), (predictions, np.full_like(targets, 1)),
            (constant, np.full_like(targets, 1)),
        ):  # fmt: skip
            for positive in classes_of(metric, 3):
                assert np.isfinite(metric(one, other, positive))
                assert np.isfinite(metric.influences(one, other, positive)).all()
                assert np.isfinite(metric.best_constant(other, positive).value)


@each_metric
def test_no_constant_is_better_than_the_best(metric, form):
    if form == "losses":
        return
    rng = np.random.default_rng(0)
    for predictions, targets, positive in cases(metric, form):
        best = metric.best_constant(targets, positive)
        assert best.value == metric(best.predictions, targets, positive)
        if form in ("classes", "ranks", "tags", "entities"):
            answers = list(range(int(targets.max()) + 2))
        elif form == "label_sets":
            answers = list(itertools.product([False, True], repeat=targets.shape[1]))
        elif form == "probabilities":
            answers = list(rng.dirichlet(np.ones(predictions.shape[1]), 20))
        else:
            answers = [*np.linspace(targets.min() - 1, targets.max() + 1, 20), targets.mean()]
        values = [
            metric(np.broadcast_to(own, predictions.shape), targets, positive) for own in answers
        ]
        assert max(values) <= best.value + 1e-12
        if best.every:
            assert values == pytest.approx([best.value] * len(values))
        if best.label is not None:
            assert (best.predictions == best.label).all()


@each_metric
def test_what_is_free_of_scale_stays_under_another(metric, form):
    if form != "values":
        return
    predictions, targets = data(form, 40, 0)
    same = metric(3 * predictions + 7, targets) == pytest.approx(metric(predictions, targets))
    assert same == metric.scale_free


@each_metric
def test_the_value_is_the_one_whose_influence_is_measured_by_halves(metric, form):
    """Also where a half has one row or none, and halves' scales differ."""
    for seed in range(30):
        rng = np.random.default_rng(seed)
        ours, theirs = rng.integers(0, 12), rng.integers(1, 12)
        halves = np.repeat(np.array([0, 1], np.int8), [ours, theirs])
        predictions, targets = data(form, len(halves), seed)
        if form == "values":
            predictions = predictions * (1 + 9 * halves) - 5 * halves
        for positive in classes_of(metric, 3):
            value, each = influence(metric.name, targets, predictions, halves, positive)
            crossfit = crossfit_value(metric.name, targets, predictions, halves, positive)
            assert value == crossfit
            assert each.sum() == pytest.approx(0, abs=1e-9)
            if not metric.scale_free:
                assert value == metric(predictions, targets, positive)


@each_metric
def test_what_cannot_be_evaluated_is_refused(metric, form):
    predictions, targets = data(form, 5, 0)
    with pytest.raises(UsageError, match=f"{metric.name}: there are no examples"):
        metric(predictions[:0], targets[:0])
    with pytest.raises(UsageError, match="two arrays of the same length"):
        metric(predictions, targets[:4])
    with pytest.raises(UsageError, match="no labels"):
        metric.best_constant(targets[:0])
    if form in ("values", "probabilities", "scores"):
        for bad in (np.nan, np.inf):
            broken = predictions.astype(float)
            broken[3] = bad
            with pytest.raises(AccordError, match=f"{metric.name}: .* not a finite number"):
                metric(broken, targets)


def test_an_unknown_metric_is_named():
    with pytest.raises(UsageError, match="unknown metric 'spearmann'; did you mean 'spearman'"):
        influence("spearmann", np.arange(4.0), np.arange(4.0))
    with pytest.raises(UsageError, match="halves should be one number per row"):
        influence("pearson", np.arange(4.0), np.arange(4.0), np.zeros(3))
