import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.data.splits import dev_split
from accord.errors import DataError


@given(st.integers(2, 500), st.floats(0.001, 0.999), st.integers(0, 2**63 - 1))
def test_every_row_is_on_one_side(rows, share, seed):
    train, dev = dev_split(rows, share, seed)
    assert sorted([*train, *dev]) == list(range(rows))
    assert (np.diff(train) > 0).all()
    assert (np.diff(dev) > 0).all()
    assert len(dev) == min(max(round(rows * share), 1), rows - 1)


def test_the_seed_decides():
    assert dev_split(100, 0.1, 1)[1].tolist() == dev_split(100, 0.1, 1)[1].tolist()
    assert dev_split(100, 0.1, 1)[1].tolist() != dev_split(100, 0.1, 2)[1].tolist()


@pytest.mark.parametrize("rows", [0, 1])
def test_too_few_rows(rows):
    with pytest.raises(DataError, match="can't be split"):
        dev_split(rows, 0.5, 0)
