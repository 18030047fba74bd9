"""The course's leaderboard files, byte by byte."""

from pathlib import Path

import numpy as np
import pytest

from accord.errors import UsageError
from accord.judging.leaderboard import write_cs224n
from accord.tasks import Kind


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("classification", ["4", "0"], b"id \t Predicted_Sentiment \na1 , 4 \nb2 , 0 \n"),
        ("pair-classification", [1, 0], b"id \t Predicted_Is_Paraphrase \na1 , 1 \nb2 , 0 \n"),
        ("pair-regression", [0.5, 5], b"id \t Predicted_Similiary \na1 , 0.5 \nb2 , 5.0 \n"),
        (
            "pair-regression",
            np.array([0.25, 4.5], dtype=np.float32),
            b"id \t Predicted_Similiary \na1 , 0.25 \nb2 , 4.5 \n",
        ),
    ],
)
def test_bytes(tmp_path: Path, kind: Kind, values: list[float], expected: bytes) -> None:
    path = tmp_path / "predictions.csv"
    write_cs224n(path, kind, ["a1", "b2"], values)
    assert path.read_bytes() == expected


def test_file_that_is_there_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text("old")
    write_cs224n(path, "classification", ["a1"], ["4"])
    assert path.read_text().startswith("id \t ")
    assert [file.name for file in tmp_path.iterdir()] == ["predictions.csv"]


def test_kind_without_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"takes tasks of kind .*, got 'regression'"):
        write_cs224n(tmp_path / "predictions.csv", "regression", ["a1"], [1.0])
    assert list(tmp_path.iterdir()) == []


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text("old")
    with pytest.raises(ValueError, match="argument 2 is longer"):
        write_cs224n(path, "classification", ["a1"], ["4", "2"])
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["predictions.csv"]
