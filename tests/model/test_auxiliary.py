"""SimCSE's loss against its formula, and the stores that texts without labels come from."""

import math

import numpy as np
import pytest
import torch

from accord.data.texts import TextSource, TextStore
from accord.encoders.families.bert import BertConfig
from accord.errors import DataError
from accord.kinds.simcse import SimCSETask
from accord.model.auxiliary import ContrastiveHead

CONFIG = BertConfig(hidden_size=8)


def simcse(pooling, temperature=0.05):
    return SimCSETask(
        "t", "simcse", "info_nce", "likelihood", pooling=pooling, temperature=temperature
    )


@pytest.mark.parametrize("pooling", ["cls", "mean", "pooler"])
@torch.no_grad()
def test_simcse_s_loss_is_its_formula(pooling):
    task = simcse(pooling, temperature=0.3)
    head = ContrastiveHead(task, CONFIG)
    assert (head.dense is not None) is (pooling == "cls")
    pooled = torch.randn(10, 8)
    x = pooled if head.dense is None else torch.tanh(pooled @ head.dense.weight.t())
    one, other = x[0::2].double(), x[1::2].double()

    def similar(i, j):
        return float(torch.exp(torch.cosine_similarity(one[i], other[j], dim=0) / 0.3))

    expected = [-math.log(similar(i, i) / sum(similar(i, j) for j in range(5))) for i in range(5)]
    assert head(pooled).tolist() == pytest.approx(expected, rel=1e-5)


class Store:
    """Stands in for a token store."""

    def __init__(self, lengths, name):
        self.lengths = np.array(lengths)
        self.text_counts = np.array([len(row) for row in lengths])
        self.exact_hashes = self.normalised_hashes = np.arange(self.lengths.size).reshape(
            self.lengths.shape
        )
        self.fingerprint, self.skipped = name, []
        self.notes, self.groups = [], np.zeros(len(self.lengths), dtype=np.uint64)

    def row_name(self, row):
        return f"{self.fingerprint}{row}"

    def segment(self, row, which):
        return np.full(self.lengths[row, which], 10 * row + which)


def test_every_text_is_a_row_of_its_own():
    one, pairs = Store([[3], [1], [2]], "s"), Store([[2, 4], [0, 5], [1, 1]], "q")
    store = TextStore(
        [
            TextSource("sst", one, np.array([0, 2])),
            TextSource("quora", pairs, np.array([0, 1])),
        ],
        "words",
    )
    names = [store.row_name(row) for row in range(len(store))]
    assert names == ["sst:s0", "sst:s2", "quora:q0:1", "quora:q0:2", "quora:q1:2"]
    assert store.lengths.tolist() == [[3], [2], [2], [4], [5]]
    assert [store.segment(row, 0).tolist() for row in (1, 3)] == [[20, 20], [1, 1, 1, 1]]
    assert store.labels.tolist() == [0.0] * 5
    assert store.exact_hashes.tolist() == [[0], [2], [0], [1], [3]]


def test_other_rows_are_another_store():
    one = Store([[3], [1], [2]], "s")
    actual = {
        TextStore([TextSource(name, one, np.array(rows))], "words").fingerprint
        for name, rows in (("sst", [0, 1]), ("sst", [0, 2]), ("sst", [0, 1, 2]), ("", [0, 1]))
    }
    assert len(actual) == 4


def test_no_text_is_an_error():
    with pytest.raises(DataError, match="task 'words': there is no text to learn from"):
        TextStore([TextSource("", Store([[0], [0]], "s"), np.arange(2))], "words")
