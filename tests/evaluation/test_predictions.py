"""Files of predictions, from logits whose meaning is worked out by hand."""

import csv
import math
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
import torch

from accord.data.loader import TaskData
from accord.data.store import TokenStore
from accord.evaluation.predictions import (
    predicted_columns,
    predicted_values,
    records_of,
    write_split_predictions,
)
from accord.tasks import Task

MOOD = Task("mood", "classification", "cross_entropy", "accuracy", labels=("good, great", 'b"d'))
SAME = Task("same", "pair-classification", "mse", "accuracy", labels=("no", "yes"))
NEAR = Task("near", "regression", "mse", "pearson", range=(-1.0, 3.0))
LOGITS = torch.tensor([[0.0, math.log(3)], [2.0, 2.0]])


def test_values_are_labels_or_within_the_range():
    logits = torch.tensor([[0.0, math.log(3)], [2.0, 1.0]])
    assert predicted_values(logits, MOOD) == ['b"d', "good, great"]
    assert predicted_values(torch.tensor([[0.5], [0.49], [7.0]]), SAME) == ["yes", "no", "yes"]
    assert predicted_values(torch.tensor([[0.25], [1.5]]), NEAR) == [0.0, 5.0]


def test_columns_hold_ids_predictions_and_probabilities():
    first, second = records_of(predicted_columns(LOGITS, MOOD, {"id": ["x", "y"]}))
    assert (first["id"], first["prediction"]) == ("x", 'b"d')
    assert first["probabilities"] == pytest.approx({"good, great": 0.25, 'b"d': 0.75})
    assert second["probabilities"] == {"good, great": 0.5, 'b"d': 0.5}
    outside = records_of(predicted_columns(torch.tensor([[1.25]]), SAME, {}))
    assert outside == [{"prediction": "yes", "probabilities": {"no": 0, "yes": 1}}]
    near = predicted_columns(torch.tensor([[0.5]]), NEAR, {"id": ["é"]})
    assert near == {"id": ["é"], "prediction": [1.0]}


class Store(TokenStore):
    """Two rows of a file, the second of which stands before the first."""

    def __init__(self, ids):
        self.ids = None if ids is None else pa.chunked_array([ids])
        self.lines, self._sources = np.array([7, 2]), ["a.csv"]
        self.labels = np.array([0.0, 1.0])


def written(path, ids, *rest):
    data = TaskData(MOOD, Store(ids), np.array([1, 0]))
    write_split_predictions(path, LOGITS, data, *rest)
    return list(csv.reader(path.read_text(encoding="utf-8").splitlines()))


def test_a_split_s_rows_have_their_ids_or_their_lines(tmp_path):
    path = tmp_path / "a.csv"
    assert written(path, ["1,2", "é"]) == [
        ["id", "prediction", "p(good, great)", 'p(b"d)'],
        ["é", 'b"d', "0.250000", "0.750000"],
        ["1,2", "good, great", "0.500000", "0.500000"],
    ]
    assert written(path, None, np.array([1.0, 1.0]), {"half": [0, 1]}) == [
        ["line", "label", "prediction", "p(good, great)", 'p(b"d)', "half"],
        ["2", 'b"d', 'b"d', "0.250000", "0.750000", "0"],
        ["7", 'b"d', "good, great", "0.500000", "0.500000", "1"],
    ]
    assert [file.name for file in tmp_path.iterdir()] == ["a.csv"]


def test_a_folder_in_its_place_is_not_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        written(tmp_path / "folder", None)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.slow
def test_many_classes_take_little_memory(tmp_path):
    """All their probabilities as Python's numbers would take 80 times as much as a few rows'."""
    labels = tuple(f"label {i}" for i in range(1_000))
    task = Task("many", "classification", "cross_entropy", "accuracy", labels)
    logits = torch.randn(400, 1_000, generator=torch.Generator().manual_seed(0))
    store = Store([str(i) for i in range(400)])
    data, likeliest = TaskData(task, store, np.arange(400)), logits.argmax(1).numpy()
    tracemalloc.start()
    try:
        write_split_predictions(tmp_path / "a.csv", logits, data, likeliest)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8_000_000, peak  # 60 MB, all at once
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    wanted = logits.double().softmax(1)
    assert [row["id"] for row in rows] == store.ids.to_pylist()
    for i in (0, 63, 64, 399):
        assert rows[i]["label"] == rows[i]["prediction"] == labels[likeliest[i]]
        shares = [float(rows[i][f"p({label})"]) for label in labels]
        assert shares == pytest.approx(wanted[i].tolist(), abs=1e-6)
