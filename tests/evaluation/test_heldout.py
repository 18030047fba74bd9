"""Cross-fitted figures of small arrays, worked by hand or by scipy and scikit-learn."""

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import f1_score

from accord.errors import UsageError
from accord.evaluation.choosing import first_best
from accord.evaluation.scores import TaskScores, crossfitted, read_scores, write_scores
from accord.metrics import crossfit_value

HALVES = np.array([0, 1, 0, 1, 0], dtype=np.int8)
LABELS = np.array([0.0, 1.0, 1.0, 0.0, 1.0])
PREDICTED = np.array([0.0, 1.0, 0.0, 1.0, 1.0])


def test_classes_are_evaluated_over_both_halves_at_once():
    assert crossfit_value("accuracy", LABELS, PREDICTED, HALVES) == pytest.approx(3 / 5)
    for positive in (0, 1):
        assert crossfit_value("f1", LABELS, PREDICTED, HALVES, positive) == pytest.approx(
            f1_score(LABELS, PREDICTED, pos_label=positive)
        )
    several = crossfit_value("macro_f1", LABELS, PREDICTED, HALVES)
    assert several == pytest.approx(f1_score(LABELS, PREDICTED, average="macro"))


@pytest.mark.parametrize(("metric", "correlate"), [("pearson", pearsonr), ("spearman", spearmanr)])
def test_correlations_are_evaluated_within_each_half(metric, correlate):
    rng = np.random.default_rng(0)
    labels, halves = rng.normal(size=11), (np.arange(11) < 4).astype(np.int8)
    predicted = labels + rng.normal(size=11)
    shifted = np.where(halves == 0, predicted, 100 - 50 * predicted)  # the halves don't compare
    parts = {h: correlate(shifted[halves == h], labels[halves == h]).statistic for h in (0, 1)}
    wanted = (7 * parts[0] + 4 * parts[1]) / 11
    assert crossfit_value(metric, labels, shifted, halves) == pytest.approx(wanted)
    assert crossfit_value(metric, labels, predicted, halves * 0) == pytest.approx(
        correlate(predicted, labels).statistic
    )


@pytest.mark.parametrize(("metric", "correlate"), [("pearson", pearsonr), ("spearman", spearmanr)])
def test_a_half_of_one_row_has_no_correlation_and_no_weight(metric, correlate):
    labels, predicted = np.array([3.0, 1.0, 2.0, 4.0]), np.array([-9.0, 1.0, 3.0, 2.0])
    halves = np.array([1, 0, 0, 0], dtype=np.int8)
    wanted = correlate(predicted[1:], labels[1:]).statistic
    assert crossfit_value(metric, labels, predicted, halves) == pytest.approx(wanted)
    assert crossfit_value(metric, labels[:2], predicted[:2], halves[:2]) == 0


def test_no_rows_are_refused():
    empty = np.array([])
    with pytest.raises(UsageError, match="no examples"):
        crossfit_value("pearson", empty, empty, empty.astype(np.int8))


def test_the_first_of_equals_is_chosen():
    assert first_best([0.1, 0.3, 0.3]) == 1


def test_each_row_is_predicted_by_what_the_other_half_chose(tmp_path):
    chosen = torch.arange(15.0).reshape(3, 5, 1)
    wanted = [[5.0], [1.0], [7.0], [3.0], [9.0]]
    assert crossfitted(chosen[0], chosen[1], HALVES).tolist() == wanted
    scores = TaskScores(
        torch.zeros(3, 5, 1), chosen, torch.from_numpy(LABELS), torch.from_numpy(HALVES)
    )
    write_scores(tmp_path, {"a.b/c": scores})
    (again,) = read_scores(tmp_path).values()
    assert torch.equal(again.chosen, chosen)
    assert again.labels.dtype == torch.float64
    assert again.halves.dtype == torch.int8
    assert [path.name for path in tmp_path.iterdir()] == ["scores.safetensors"]


@pytest.mark.parametrize("shape", [(1,), (4,), (3, 2)])
def test_rows_of_any_shape_are_cross_fitted_row_by_row(shape):
    chosen = torch.randn(2, len(HALVES), *shape, generator=torch.Generator().manual_seed(1))
    chosen[:, :, -1:] = float("-inf")
    rows = crossfitted(chosen[0], chosen[1], HALVES)
    for row, half in enumerate(HALVES.tolist()):
        torch.testing.assert_close(rows[row], chosen[1 - half][row], rtol=0, atol=0)
