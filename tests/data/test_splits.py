"""Drawn dev splits: by a group's content alone except for a few, whole, classes in proportion."""

import hashlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.data.halves import content_halves
from accord.data.splits import FEW, dev_split
from accord.errors import DataError

SHARES = st.floats(0.02, 0.6)
CLASSES = st.lists(st.sampled_from([0.0, 0.0, 0.0, 1.0, 1.0, 2.0]), min_size=2, max_size=300)


def keys(names):
    """A hash of each name, as a token store has them of texts."""
    digests = [hashlib.blake2b(str(name).encode(), digest_size=8).digest() for name in names]
    return np.frombuffer(b"".join(digests), dtype="<u8")


def dev_of(names, labels, share, **how):
    """The dev names, once each."""
    groups = keys(names)
    _, dev = dev_split(groups, labels, share, **how)
    return {names[i] for i in dev}


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3)), max_size=80), SHARES)
def test_every_row_is_on_one_side_and_every_group_too(rows, share):
    names = [name for name, _ in rows]
    labels = np.array([label for _, label in rows], dtype=float)
    if len(set(names)) < 2:
        with pytest.raises(DataError, match="can't be split"):
            dev_split(keys(names), labels, share)
        return
    train, dev = dev_split(keys(names), labels, share)
    assert sorted([*train, *dev]) == list(range(len(rows)))
    assert (np.diff(train) > 0).all()
    assert (np.diff(dev) > 0).all()
    assert len(train)
    assert len(dev)
    assert not {names[i] for i in train} & {names[i] for i in dev}


@given(CLASSES, SHARES, st.integers(0, 99))
def test_each_class_has_its_share(labels, share, seed):
    """Bounds in words: a tenth or half a row off at most; but three rows at least, or a quarter."""
    labels = np.array(labels)
    _, dev = dev_split(keys([f"{seed} {i}" for i in range(len(labels))]), labels, share)
    if len(dev) == 1 or len(dev) == len(labels) - 1:
        return  # either side has a row, whatever the classes
    for label, n in Counter(labels.tolist()).items():
        count, few = int((labels[dev] == label).sum()), min(FEW, n // 4)
        off = max(0.5, n * share / 10)
        assert min(few, n - few) <= count <= n - max(few, 1)
        assert min(n * share - off, n - max(few, 1)) <= count <= max(n * share + off, few)


@given(st.integers(2, 400), SHARES, st.integers(0, 99), st.booleans())
def test_values_are_dev_in_proportion(n, share, seed, tied):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 6, n) / 1.0 if tied else rng.normal(size=n)
    _, dev = dev_split(keys([f"{seed} {i}" for i in range(n)]), values, share, classes=False)
    parts = min(10, max(1, int(n * share / FEW)))
    off = max(1.0, n * share / parts / 10) * parts
    assert n * share - off - parts <= len(dev) <= max(n * share, FEW) + off + parts
    if parts >= 4 and not tied:  # each quarter of the values is there
        quarters = np.searchsorted(np.quantile(values, [0.25, 0.5, 0.75]), values[dev])
        assert set(quarters.tolist()) == {0, 1, 2, 3}


@given(CLASSES, SHARES, st.randoms(use_true_random=False), st.booleans())
def test_another_order_of_rows_draws_the_same(labels, share, random, classes):
    rows = [(f"text {i // 2}", label) for i, label in enumerate([*labels, 0.0, 1.0])]
    shuffled = list(rows)
    random.shuffle(shuffled)
    one, other = (
        dev_of([name for name, _ in some], np.array([label for _, label in some]), share,
               classes=classes)
        for some in (rows, shuffled)
    )  # fmt: skip
    assert one == other


def test_large_classes_are_drawn_by_content_alone():
    """Three tasks of other labels, each of some of the texts, agree on every text."""
    rng, n = np.random.default_rng(0), 40_000
    names = [f"text {i}" for i in range(n)]
    whole = dev_of(names, None, 0.1)
    for labels, classes in ((rng.integers(0, 3, n), True), (rng.normal(size=n), False)):
        some = np.flatnonzero(rng.random(n) < 0.8)
        part = dev_of([names[i] for i in some], labels[some].astype(float), 0.1, classes=classes)
        assert part == whole & {names[i] for i in some}
    assert abs(len(whole) - n / 10) < 4 * np.sqrt(n * 0.1 * 0.9)


def test_a_row_more_moves_hardly_any_other():
    rng = np.random.default_rng(1)
    moved = []
    for n in (30, 100, 1_000):
        for repeat in range(30):
            names = [f"{repeat} {i}" for i in range(n + 1)]
            labels = rng.integers(0, 3, n + 1).astype(float)
            less = dev_of(names[:-1], labels[:-1], 0.1)
            moved.append(len((less ^ dev_of(names, labels, 0.1)) - {names[-1]}))
    assert max(moved) <= 2
    assert np.mean(moved) < 0.5


def test_a_group_counts_by_its_rows_and_by_its_rarest_class():
    """Users write many rows each, of all classes; one in forty rows is of a rare class."""
    rng = np.random.default_rng(2)
    for repeat in range(20):
        users = np.repeat(np.arange(60), rng.integers(5, 40, 60))
        labels = (rng.random(len(users)) < 1 / 40).astype(float)
        names = [f"{repeat} {user}" for user in users]
        _, dev = dev_split(keys(names), labels, 0.2)
        assert 0.1 < len(dev) / len(users) < 0.32
        rare = labels.sum()
        assert abs(labels[dev].sum() - 0.2 * rare) <= max(1.0, 0.02 * rare) + 1


def test_a_group_with_most_rows_is_trained_on():
    names = ["user 0"] * 90 + [f"user {i}" for i in range(1, 11)]
    for hidden in range(40):
        dev = dev_of([f"{hidden} {name}" for name in names], np.zeros(100), 0.1)
        assert f"{hidden} user 0" not in dev
        assert 9 <= len(dev) <= 10


def test_halves_of_a_drawn_dev_are_balanced():
    """What draws dev and what halves it are hashes of different things."""
    names = [f"text {i}" for i in range(60_000)]
    _, dev = dev_split(keys(names), None, 0.1)
    contents = [hashlib.sha256(names[i].encode()).digest() for i in dev]
    ones = content_halves(contents, np.zeros(len(dev))).sum()
    assert abs(ones - len(dev) / 2) < 4 * np.sqrt(len(dev)) / 2


@pytest.mark.parametrize("rows", [0, 1, 7])
def test_rows_of_one_group(rows):
    with pytest.raises(DataError, match="can't be split"):
        dev_split(keys(["same"] * rows), np.zeros(rows), 0.5)
