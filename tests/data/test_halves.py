"""Halves of a dev split: by content alone, copies together, the same in every task, balanced."""

import hashlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.data.halves import content_halves, row_contents

ROWS = st.lists(st.tuples(st.binary(max_size=2), st.integers(0, 3)), max_size=40)
VALUES = st.lists(st.tuples(st.binary(max_size=2), st.floats(-5, 5)), max_size=40)


def content(name):
    return hashlib.sha256(name).digest()


def halves_of(rows):
    labels = np.array([label for _, label in rows], dtype=float)
    return content_halves([content(name) for name, _ in rows], labels)


@given(st.one_of(ROWS, VALUES), st.randoms(use_true_random=False))
def test_another_order_of_rows_moves_each_with_its_half(rows, random):
    order = list(range(len(rows)))
    random.shuffle(order)
    assert halves_of([rows[i] for i in order]).tolist() == halves_of(rows)[order].tolist()


@given(st.one_of(ROWS, VALUES))
def test_copies_stay_together_and_neither_half_is_small(rows):
    actual = halves_of(rows)
    assert actual.dtype == np.int8
    half = {}
    for (name, _), each in zip(rows, actual.tolist(), strict=True):
        assert half.setdefault(name, each) == each
    sizes, n = Counter(half.values()), len(half)
    assert min(sizes[0], sizes[1]) >= max(n // 4, min(2, n // 2))


@given(st.lists(st.integers(0, 3), max_size=63), st.integers(0, 9))
def test_each_label_of_a_small_split_is_in_either_half(labels, seed):
    actual = halves_of([(b"%d %d" % (seed, i), label) for i, label in enumerate(labels)])
    for label, n in Counter(labels).items():
        sizes = Counter(actual[np.array(labels) == label].tolist())
        assert min(sizes[0], sizes[1]) >= max(n // 4, min(1, n // 2))


def test_rows_of_one_half_alone_are_parted_and_no_more_are_moved_than_need_be():
    ones = [name for name in (b"%d" % i for i in range(200)) if content(name)[-1] & 1][:20]
    actual = halves_of([(name, 0.0) for name in ones])
    assert actual.sum() == 15
    first = sorted(range(20), key=lambda i: content(ones[i]))[:5]
    assert set(np.flatnonzero(actual == 0)) == set(first)


@pytest.mark.parametrize("n", [64, 1_000, 20_000])
def test_rows_of_the_same_content_are_in_the_same_half_of_every_task(n):
    rng = np.random.default_rng(n)
    names = [b"%d" % i for i in range(n)]
    classes, values = rng.integers(0, 3, n), rng.normal(size=n)
    rare = np.where(np.arange(n) < 3, 1, 0)
    one, other, third = (
        halves_of(list(zip(names, labels, strict=True))) for labels in (classes, values, rare)
    )
    assert one.tolist() == other.tolist() == third.tolist()
    some = rng.permutation(n)[: max(64, n // 10)]  # another task has some of them only
    part = halves_of([(names[i], values[i]) for i in some])
    assert part.tolist() == one[some].tolist()
    assert abs(one.sum() - n / 2) < 4 * np.sqrt(n) / 2  # 4 standard deviations


def test_in_small_splits_nearly_all_rows_are_in_the_same_half_of_every_task():
    rng, moved = np.random.default_rng(0), []
    for split in range(100):
        names = [b"%d %d" % (split, i) for i in range(40)]
        halves = [
            halves_of(list(zip(names, labels, strict=True)))
            for labels in (rng.integers(0, 2, 40), rng.normal(size=40))
        ]
        moved.append(int((halves[0] != halves[1]).sum()))
    assert np.mean(moved) < 0.1


class Store:
    """Token ids of rows."""

    def __init__(self, *rows):
        self.rows, self.text_counts = rows, np.array([len(row) for row in rows])

    def segment(self, row, which):
        return np.array(self.rows[row][which], dtype=np.int32)


def test_contents_tell_where_a_text_ends():
    store = Store(([1, 2], [3]), ([1], [2, 3]), ([1, 2], [3]), ([3], [1, 2]))
    one, other, copy, swapped = row_contents(store, np.arange(4))
    assert one == copy
    assert len({one, other, swapped}) == 3
    assert row_contents(store, np.array([2])) == [one]


def test_labels_and_contents_are_of_the_same_rows():
    with pytest.raises(ValueError, match="zip"):
        content_halves([b"a"], np.zeros(2))
