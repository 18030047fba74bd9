"""What a run showed of each task, against a count by hand."""

import numpy as np
import pytest

from accord.data.sampler import Sampler
from accord.data.sources import each_alone
from accord.sampling import Budget, get_rule, rule_names
from accord.training.exposure import exposures


class Store:
    """Lengths of a task's rows, without tokens."""

    def __init__(self, lengths):
        self.lengths = lengths


class Lengths:
    """Stands for the assembler: says what the store holds."""

    @staticmethod
    def sequence_lengths(data):
        return data.store.lengths


@pytest.fixture
def data():
    from types import SimpleNamespace

    class Data(SimpleNamespace):
        def __len__(self):
            return len(self.store.lengths)

    rng = np.random.default_rng(0)
    sizes = {"one": (11, 1), "two": (5, 2)}
    return [
        Data(
            task=SimpleNamespace(name=name),
            store=Store(rng.integers(3, 20, shape)),
            rows=np.arange(shape[0]),
        )
        for name, shape in sizes.items()
    ]


@pytest.mark.parametrize("batching", rule_names())
def test_examples_tokens_and_padding_are_those_of_the_steps(data, batching):
    sizes = [len(split) for split in data]
    sampler = Sampler(("one", "two"), tuple(sizes), get_rule(batching), Budget(4), seed=1)
    steps = 2 * sampler.steps + 1
    actual = exposures(sampler, each_alone(data), Lengths(), steps)
    for i, split in enumerate(data):
        drawn = [sampler.draw(step)[i] for step in range(steps)]
        seen = actual[split.task.name]
        lengths = split.store.lengths
        assert seen.examples == sum(map(len, drawn))
        assert seen.tokens == sum(lengths[row].sum() for rows in drawn for row in rows)
        padded = sum(
            len(rows) * max(lengths[row][column] for row in rows)
            for rows in drawn if len(rows) for column in range(lengths.shape[1])
        )  # fmt: skip
        assert seen.padding_tokens == padded - seen.tokens
        assert seen.epochs == pytest.approx(seen.examples / len(split), abs=1e-4)
        assert seen.steps == sum(len(rows) > 0 for rows in drawn)


def test_a_frozen_encoder_reads_each_row_once(data):
    rule = get_rule("finish-largest")
    sampler = Sampler(("one", "two"), (11, 5), rule, Budget(4), seed=1)
    actual = exposures(sampler, each_alone(data), Lengths(), 9, frozen=True)
    for split in data:
        assert actual[split.task.name].tokens == split.store.lengths.sum()
        assert actual[split.task.name].padding_tokens == 0
        assert actual[split.task.name].examples > len(split)
