"""Average accuracy, forgetting and backward transfer of a matrix worked by hand."""

import pytest

from accord.evaluation.continual import average_accuracy, backward_transfer, forgetting

MATRIX = [
    {"a": 0.80},
    {"a": 0.90, "b": 0.60},
    {"a": 0.70, "b": 0.65, "c": 0.50},
]
ONE_BY_ONE = [["a"], ["b"], ["c"]]


def test_worked_matrix():
    assert average_accuracy(MATRIX) == pytest.approx((0.70 + 0.65 + 0.50) / 3)
    # a was best after the second stage; b is better than ever, so its forgetting is negative.
    assert forgetting(MATRIX, ONE_BY_ONE) == pytest.approx(((0.90 - 0.70) + (0.60 - 0.65)) / 2)
    assert backward_transfer(MATRIX, ONE_BY_ONE) == pytest.approx((-0.10 + 0.05) / 2)


def test_a_task_that_comes_again_is_finished_after_the_last_stage_that_trains_it():
    trained = [["a"], ["a", "b"], ["c"]]
    assert backward_transfer(MATRIX, trained) == pytest.approx(((0.70 - 0.90) + 0.05) / 2)
    assert forgetting(MATRIX, [["a"], ["b"], ["a", "c"]]) == pytest.approx(0.60 - 0.65)


def test_tasks_finished_before_the_first_stage_count_by_what_was_seen_of_them():
    assert backward_transfer([{"z": 0.5, "a": 0.5}, {"z": 0.1, "a": 0.4, "b": 0.3}],
                             [["a"], ["b"]]) == pytest.approx(-0.1)  # fmt: skip


def test_without_a_finished_task_nothing_was_forgotten_or_gained():
    assert forgetting([{"a": 0.5}, {"a": 0.6}], [["a"], ["a"]]) is None
    assert backward_transfer([{"a": 0.5}, {"b": 0.6}], [["a"], ["b"]]) is None
