"""Prediction files, from logits whose meaning is worked out by hand."""

import csv
import json
import math
import tracemalloc
from pathlib import Path

import pytest
import torch

from accord.errors import UsageError
from accord.judging.predictions import (
    guess_format,
    predicted_records,
    predicted_values,
    write_predictions,
)
from accord.tasks import Task

MOOD = Task("mood", "classification", "cross_entropy", "accuracy", labels=("good, great", 'b"d'))
SAME = Task("same", "pair-classification", "mse", "accuracy", labels=("no", "yes"))
NEAR = Task("near", "regression", "mse", "pearson", range=(-1.0, 3.0))


def test_values():
    logits = torch.tensor([[0.0, math.log(3)], [2.0, 1.0]])
    assert predicted_values(logits, MOOD) == ['b"d', "good, great"]
    assert predicted_values(torch.tensor([[0.5], [0.49], [7.0]]), SAME) == ["yes", "no", "yes"]
    assert predicted_values(torch.tensor([[0.25], [1.5]]), NEAR) == [0.0, 5.0]


def test_records():
    first, second = predicted_records(torch.tensor([[0.0, math.log(3)], [0, 0]]), MOOD, ["x", "y"])
    assert (first["id"], first["prediction"]) == ("x", 'b"d')
    assert first["probabilities"] == pytest.approx({"good, great": 0.25, 'b"d': 0.75})
    assert second["probabilities"] == {"good, great": 0.5, 'b"d': 0.5}
    outside = [*predicted_records(torch.tensor([[1.25]]), SAME, ["x"])]
    assert outside == [{"id": "x", "prediction": "yes", "probabilities": {"no": 0, "yes": 1}}]
    (near,) = predicted_records(torch.tensor([[0.5]]), NEAR, ["é"])
    assert near == {"id": "é", "prediction": 1.0}


def test_files(tmp_path):
    logits = torch.tensor([[0.0, math.log(3)], [2.0, 2.0]])
    write_predictions(tmp_path / "a.csv", logits, MOOD, ["1,2", "é"], "csv")
    rows = list(csv.reader((tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()))
    assert rows == [
        ["id", "prediction", "p(good, great)", 'p(b"d)'],
        ["1,2", 'b"d', "0.250000", "0.750000"],
        ["é", "good, great", "0.500000", "0.500000"],
    ]
    write_predictions(tmp_path / "a.jsonl", logits, MOOD, ["1", "é"], "jsonl")
    lines = (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["1", "é"]
    write_predictions(tmp_path / "a.txt", torch.tensor([[0.3]]), SAME, ["q1"], "cs224n")
    assert (tmp_path / "a.txt").read_text() == "id \t Predicted_Is_Paraphrase \nq1 , no \n"
    assert {path.name for path in tmp_path.iterdir()} == {"a.csv", "a.jsonl", "a.txt"}


def test_what_can_t_be_written(tmp_path):
    with pytest.raises(UsageError, match="format cs224n: takes tasks of kind"):
        write_predictions(tmp_path / "a", torch.tensor([[0.3]]), NEAR, ["1"], "cs224n")
    (tmp_path / "folder").mkdir()
    for form in ("csv", "jsonl"):
        with pytest.raises(OSError, match="folder"):
            write_predictions(tmp_path / "folder", torch.tensor([[0.3]]), NEAR, ["1"], form)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize(
    ("name", "form"), [("a.csv", "csv"), ("a.jsonl", "jsonl"), ("a.ndjson", "jsonl"), ("a", "csv")]
)
def test_the_name_says_the_format(name, form):
    assert guess_format(Path(name)) == form


def test_many_classes_take_little_memory(tmp_path):
    """All their probabilities as Python's numbers would take 80 times as much as a few rows'."""
    labels = tuple(f"label {i}" for i in range(1_000))
    task = Task("many", "classification", "cross_entropy", "accuracy", labels)
    logits = torch.randn(400, 1_000, generator=torch.Generator().manual_seed(0))
    ids = [str(i) for i in range(400)]
    for name, form in (("a.csv", "csv"), ("a.jsonl", "jsonl")):
        tracemalloc.start()
        try:
            write_predictions(tmp_path / name, logits, task, ids, form, logits.argmax(1).numpy())
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 8_000_000, (name, peak)  # 60 MB, all at once
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    records = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    wanted = logits.double().softmax(1)
    assert [row["id"] for row in rows] == [own["id"] for own in records] == ids
    for i in (0, 63, 64, 399):
        assert rows[i]["label"] == rows[i]["prediction"] == records[i]["prediction"]
        shares = [float(rows[i][f"p({label})"]) for label in labels]
        assert shares == pytest.approx(wanted[i].tolist(), abs=1e-6)
        assert [*records[i]["probabilities"].values()] == pytest.approx(
            wanted[i].tolist(), abs=1e-6
        )
