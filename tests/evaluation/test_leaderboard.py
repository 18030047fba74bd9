"""The course's leaderboard files, byte by byte."""

import numpy as np
import pytest

from accord.errors import UsageError
from accord.evaluation.leaderboard import cs224n_lines


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
def test_the_course_s_file_has_its_bytes(kind: str, values: list[float], expected: bytes) -> None:
    assert "".join(cs224n_lines(kind, ["a1", "b2"], values)).encode() == expected


def test_kind_without_a_file_is_refused() -> None:
    with pytest.raises(UsageError, match=r"takes tasks of kind .*, got 'regression'"):
        cs224n_lines("regression", ["a1"], [1.0])


def test_every_row_has_an_id() -> None:
    with pytest.raises(ValueError, match="argument 2 is longer"):
        cs224n_lines("classification", ["a1"], ["4", "2"])
