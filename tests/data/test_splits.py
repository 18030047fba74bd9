import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.data.splits import dev_split
from accord.errors import DataError


@given(st.integers(2, 500), st.floats(0.001, 0.999))
def test_every_row_is_on_one_side(rows, share):
    train, dev = dev_split(rows, share)
    assert sorted([*train, *dev]) == list(range(rows))
    assert (np.diff(train) > 0).all()
    assert (np.diff(dev) > 0).all()
    assert len(dev) == min(max(round(rows * share), 1), rows - 1)


def test_the_dev_rows_are_drawn_from_all_of_the_file():
    dev = dev_split(1000, 0.1)[1]
    assert dev.tolist() == dev_split(1000, 0.1)[1].tolist()
    assert 300 < dev.mean() < 700


@pytest.mark.parametrize("rows", [0, 1])
def test_too_few_rows(rows):
    with pytest.raises(DataError, match="can't be split"):
        dev_split(rows, 0.5)
