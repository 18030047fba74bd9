"""Which rows a memory keeps and which of them a step draws: functions of seed, name and step."""

import numpy as np
import pytest

from accord.data.rehearsal import RehearsalSampler, memory_rows
from accord.data.sampler import Sampler, stream
from accord.errors import ConfigError
from accord.sampling import Budget, get_rule

CLASSES = np.array([0.0] * 30 + [1.0] * 8 + [2.0] * 2)
VALUES = np.random.default_rng(0).normal(size=200) ** 3


def rows(labels, size, choice, classes=True, seed=0, name="mood"):
    return memory_rows(labels, size, choice, classes=classes, key=(seed, name))


@pytest.mark.parametrize("choice", ["random", "balanced"])
@pytest.mark.parametrize(("labels", "classes"), [(CLASSES, True), (VALUES, False)])
def test_so_many_different_rows_by_the_key_alone(choice, labels, classes):
    actual = rows(labels, 12, choice, classes)
    assert len(set(actual)) == len(actual) == 12
    assert np.array_equal(actual, np.sort(actual))
    np.random.default_rng(1).random()
    assert np.array_equal(actual, rows(labels, 12, choice, classes))
    others = [
        rows(labels, 12, choice, classes, seed=1),
        rows(labels, 12, choice, classes, name="a"),
    ]
    assert not any(np.array_equal(actual, other) for other in others)
    assert np.array_equal(rows(labels, len(labels), choice, classes), np.arange(len(labels)))


def test_classes_are_as_many_as_their_rows_allow():
    assert np.bincount(CLASSES[rows(CLASSES, 6, "balanced")].astype(int)).tolist() == [2, 2, 2]
    assert np.bincount(CLASSES[rows(CLASSES, 18, "balanced")].astype(int)).tolist() == [8, 8, 2]
    chosen = np.bincount(CLASSES[rows(CLASSES, 18, "random")].astype(int), minlength=3)
    assert chosen[0] > 8


def test_values_come_from_every_quantile():
    sort = np.sort(VALUES[rows(VALUES, 10, "balanced", classes=False)])
    ends = np.sort(VALUES).reshape(10, 20)
    assert all(part[0] <= each <= part[-1] for part, each in zip(ends, sort, strict=True))
    assert len(set(rows(np.zeros(20), 7, "balanced", classes=False))) == 7  # all alike


def test_more_than_there_are():
    with pytest.raises(ConfigError, match=r"memory.size: 41 is more than the 40 training rows of"):
        rows(CLASSES, 41, "random")


def sampler(batching="uniform", one=False):
    rule = get_rule(batching)
    budget = Budget(4, epochs=2, one_task=one or rule.orders == ("cyclic",))
    current = Sampler(("b", "d"), (10, 6), rule, budget, seed=3)
    return RehearsalSampler(current, ("a", "b", "c", "d", "e"), (9, 10, 3, 6, 0))


@pytest.mark.parametrize("batching", ["finish-largest", "uniform", "round-robin", "annealed"])
def test_current_tasks_draw_as_they_would_without_memories(batching):
    ours = sampler(batching)
    for step in range(2 * ours.steps):
        drawn = ours.draw(step)
        expected = ours.current.draw(step)
        assert np.array_equal(drawn[1], expected[0])
        assert np.array_equal(drawn[3], expected[1])
        assert [len(drawn[i]) for i in (0, 2, 4)] == [4, 3, 0]
    assert ours.shares[1::2] == ours.current.shares
    assert ours.shares[::2] == (4.0, 3.0, 0.0)
    assert ours.steps == ours.current.steps


def test_every_memory_row_comes_before_any_again():
    ours = sampler()
    seen = np.concatenate([ours.draw(step)[0] for step in range(9)])
    assert sorted(seen[:9]) == list(range(9))
    assert np.bincount(seen).tolist() == [4] * 9
    assert np.array_equal(ours.draw(5)[0], sampler().draw(5)[0])


def test_a_memory_is_no_pass_of_the_sampler_s():
    labels = np.zeros(1000)
    kept = set(rows(labels, 256, "random"))
    for number in range(4):
        shown = stream(0, "mood", 1000, number * 1000, number * 1000 + 256)
        assert len(kept & set(shown)) < 100  # by chance 66
