"""Figures of single classes, beside scikit-learn's."""

import json

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from accord.metrics import ByClass


def assert_worst_first(each: ByClass) -> None:
    """All classes with rows by their F1, and behind them those without."""
    assert sorted(each.worst) == list(range(len(each.labels)))
    with_rows = [i for i in each.worst if each.support[i]]
    assert (np.diff(each.f1[with_rows]) >= 0).all()
    assert not each.support[each.worst[len(with_rows) :]].any()


@pytest.mark.parametrize("seed", range(60))
def test_they_are_scikit_learns(seed: int) -> None:
    """Classes without rows, never predicted or never right among them."""
    rng = np.random.default_rng(seed)
    classes, rows = int(rng.integers(2, 40)), int(rng.integers(1, 120))
    labels = tuple(f"c{i}" for i in range(classes))
    shares = rng.dirichlet(np.full(classes, rng.choice([0.1, 1.0])))
    targets = rng.choice(classes, rows, p=shares)
    predictions = np.where(rng.random(rows) < 0.5, targets, rng.choice(classes, rows, p=shares))
    each = ByClass.of(labels, targets, predictions.astype(np.float64))
    expected = precision_recall_fscore_support(
        targets, predictions, labels=range(classes), zero_division=0
    )
    ours = (each.precision, each.recall, each.f1, each.support)
    for our, other in zip(ours, expected, strict=True):
        np.testing.assert_allclose(our, other, rtol=1e-14)

    table = json.loads(json.dumps(each.to_json()))
    matrix = confusion_matrix(targets, predictions, labels=range(classes))
    for i, true in enumerate(labels):
        assert table["classes"][true]["support"] == matrix[i].sum()
        assert table["classes"][true]["f1"] == each.f1[i]
        counts = table["confusion"].get(true, {})
        assert [counts.get(said, 0) for said in labels] == matrix[i].tolist()
    assert all(n > 0 for row in table["confusion"].values() for n in row.values())

    np.fill_diagonal(matrix, 0)
    errors = each.confused(3)
    assert [n for _, _, n in errors] == sorted(matrix[matrix > 0].tolist(), reverse=True)[:3]
    assert all(matrix[labels.index(i), labels.index(j)] == n for i, j, n in errors)
    assert_worst_first(each)


@pytest.mark.parametrize("seed", range(20))
def test_those_of_label_sets_are_scikit_learns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, rows = int(rng.integers(2, 20)), int(rng.integers(1, 80))
    targets, said = rng.random((2, rows, labels)) < rng.random((2, 1, labels)) ** 2
    each = ByClass.of(
        [f"c{i}" for i in range(labels)], targets.astype(np.uint8), said.astype(float)
    )
    expected = precision_recall_fscore_support(targets, said, zero_division=0)
    ours = (each.precision, each.recall, each.f1, each.support)
    for our, other in zip(ours, expected, strict=True):
        np.testing.assert_allclose(our, other, rtol=1e-14)
    assert_worst_first(each)
    assert each.confused(3) == []
    table = json.loads(json.dumps(each.to_json()))
    assert table.keys() == {"classes"}
    assert [row["support"] for row in table["classes"].values()] == targets.sum(0).tolist()
