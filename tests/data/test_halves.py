"""Halves of a dev split: by content alone, copies together, balanced over contents and labels."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.data.halves import content_halves, row_contents

ROWS = st.lists(st.tuples(st.binary(max_size=2), st.integers(0, 3)), max_size=40)
VALUES = st.lists(st.tuples(st.binary(max_size=2), st.floats(-5, 5)), max_size=40)


def halves_of(rows):
    contents = [content for content, _ in rows]
    return content_halves(contents, np.array([label for _, label in rows], dtype=float))


@given(st.one_of(ROWS, VALUES), st.randoms(use_true_random=False))
def test_another_order_of_rows_moves_each_with_its_half(rows, random):
    order = list(range(len(rows)))
    random.shuffle(order)
    assert halves_of([rows[i] for i in order]).tolist() == halves_of(rows)[order].tolist()


@given(st.one_of(ROWS, VALUES))
def test_copies_stay_together_and_contents_are_halved(rows):
    found = halves_of(rows)
    assert found.dtype == np.int8
    half = {}
    for (content, _), own in zip(rows, found.tolist(), strict=True):
        assert half.setdefault(content, own) == own
    sizes = Counter(half.values())
    assert sizes[0] - sizes[1] in (0, 1)


@given(st.lists(st.integers(0, 3), max_size=40))
def test_each_label_s_contents_are_halved(labels):
    found = halves_of([(bytes([i]), label) for i, label in enumerate(labels)])
    for label in set(labels):
        sizes = Counter(found[np.array(labels) == label].tolist())
        assert abs(sizes[0] - sizes[1]) <= 1


def test_values_of_a_regression_alternate():
    values = [5.0, 1.0, 3.0, 2.0, 4.0, 0.0]
    assert halves_of([(bytes([i]), own) for i, own in enumerate(values)]).tolist() == [
        1, 1, 1, 0, 0, 0,
    ]  # fmt: skip


class Store:
    """Token ids of rows."""

    def __init__(self, *rows):
        self.rows = rows

    def segment(self, row, which):
        return np.array(self.rows[row][which], dtype=np.int32)


def test_contents_tell_where_a_text_ends():
    store = Store(([1, 2], [3]), ([1], [2, 3]), ([1, 2], [3]), ([3], [1, 2]))
    one, other, copy, swapped = row_contents(store, np.arange(4), 2)
    assert one == copy
    assert len({one, other, swapped}) == 3
    assert row_contents(store, np.array([2]), 2) == [one]


def test_labels_and_contents_are_of_the_same_rows():
    with pytest.raises(ValueError, match="zip"):
        content_halves([b"a"], np.zeros(2))
