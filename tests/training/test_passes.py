"""The largest passes that fit, by a memory that the test makes up."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.training.passes import Room, most_fitting


@given(st.integers(1, 500), st.integers(0, 100_000), st.integers(1, 200_000))
def test_what_is_found_fits_and_is_near_the_most(least, more, limit):
    most, asked = least + more, []

    def fits(size):
        asked.append(size)
        return size <= limit

    found = most_fitting(fits, least, most)
    assert least <= found <= most
    if limit < least:
        assert found == least  # no pass is smaller
    else:
        assert found <= limit
        # Nine eighths of it would not fit, or be more than there is; or one more where it is few.
        assert found == most or found + max(1, found // 8) >= limit
    assert all(least <= size <= most for size in asked)
    assert max(asked) <= max(least, 2 * limit)  # nothing far too large is tried
    assert len(asked) <= 2 + math.log2(most / least + 1) + 5


@pytest.mark.parametrize(("taken", "holds"), [(899, True), (900, True), (901, False)])
def test_a_tenth_of_what_is_free_stays_free(taken, holds):
    assert Room(1000, lambda tokens: taken).holds(1) is holds


def test_where_the_system_doesn_t_say_anything_fits():
    assert Room(math.inf, lambda tokens: 1e18).holds(1)
    assert not Room(1e18, lambda tokens: math.inf).holds(1)
