"""Draws that are balanced by class: how often, in which order, and from what they follow."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.data.class_stream import class_stream
from accord.data.exact_sampler import ExactSampler
from accord.data.sampler import Sampler
from accord.sampling import RULES, Budget, get_rule


def classes_of(sizes: list[int], seed: int = 0) -> list[np.ndarray]:
    """Rows of classes of some sizes, mixed."""
    rows = np.random.default_rng(seed).permutation(sum(sizes))
    return [np.sort(part) for part in np.split(rows, np.cumsum(sizes)[:-1])]


SIZES = st.lists(st.integers(1, 30), min_size=1, max_size=9)


@settings(deadline=None)
@given(SIZES, st.integers(0, 500), st.integers(0, 200), st.integers(0, 2**32 - 1))
def test_every_class_and_within_it_every_row_comes_equally_often(sizes, start, length, seed):
    classes = classes_of(sizes)
    part = class_stream(seed, "t", classes, start, start + length)
    assert len(part) == length
    counts = [int(np.isin(part, rows).sum()) for rows in classes]
    assert max(counts) - min(counts) <= 2  # a round is cut at either end
    whole = class_stream(seed, "t", classes, 0, start + length)
    np.testing.assert_array_equal(part, whole[start:])
    for rows in classes:
        times = Counter(whole[np.isin(whole, rows)].tolist())
        each = [times[row] for row in rows.tolist()]
        assert max(each) - min(each) <= 1


def test_it_follows_from_seed_task_and_place_alone():
    classes = classes_of([40, 5, 1])
    draws = {
        key: class_stream(*key, classes, 0, 90).tobytes()
        for key in ((0, "a"), (1, "a"), (0, "b"), (2**32 - 1, "a"))
    }
    assert len(set(draws.values())) == 4
    assert class_stream(0, "a", classes, 0, 90).tobytes() == draws[0, "a"]
    rounds = class_stream(0, "a", classes, 0, 90).reshape(-1, 3)
    orders = {tuple(int(np.isin(row, each).argmax()) for each in classes) for row in rounds}
    assert len(orders) == 6  # of three classes all


@pytest.mark.parametrize("rule", RULES.names())
def test_a_rule_draws_as_many_rows_as_it_does_of_shuffled_ones(rule):
    """Only which rows they are differs, and of the balanced task alone."""
    sizes, names = (37, 90, 20), ("a", "b", "c")
    classes = {"a": classes_of([30, 5, 2]), "c": classes_of([1, 19])}
    made = [
        Sampler(names, sizes, get_rule(rule), Budget(8, epochs=3, steps=11), 5, classes=chosen)
        for chosen in ({}, classes)
    ]
    plain, balanced = made
    assert plain.steps == balanced.steps
    every: dict[str, list[int]] = {name: [] for name in names}
    for step in range(3 * plain.steps):
        for name, one, other in zip(names, plain.draw(step), balanced.draw(step), strict=True):
            assert len(one) == len(other)
            assert other.dtype == np.int64
            if name == "b":
                np.testing.assert_array_equal(one, other)
            every[name] += other.tolist()
    assert balanced.examples(3) == plain.examples(3) == [len(every[name]) for name in names]
    for name, of in classes.items():
        # No place of the stream is left out or drawn twice, over epochs as well.
        expected = class_stream(5, name, of, 0, len(every[name]))
        np.testing.assert_array_equal(every[name], expected)


def test_a_run_of_so_many_examples_draws_one_stream():
    classes = classes_of([20, 3])
    budget = Budget(8, epochs=2)
    sampler = ExactSampler(
        ("t",), (23,), get_rule("finish-largest"), budget, 1, classes={"t": classes}, total=61
    )
    drawn = np.concatenate([sampler.draw(step)[0] for step in range(2 * sampler.steps)])
    np.testing.assert_array_equal(drawn, class_stream(1, "t", classes, 0, 61))
