"""Entity F1 beside the rules of the CoNLL-2000 script, as seqeval has them, word by word."""

import numpy as np
import pytest

from accord.kinds._entities import codes_of, entities_of, tags_of, tags_of_types
from accord.metrics import get_metric

SCHEMES = ("bio", "iobes")
TYPES = ("a", "bc", "d-e")


def ended(before: str, before_type: str, tag: str, kind: str) -> bool:
    """Whether a chunk ends between two words, by the script's table."""
    if before in ("E", "S"):
        return True
    if before in ("B", "I") and tag in ("B", "S", "O"):
        return True
    return before != "O" and before_type != kind


def begun(before: str, before_type: str, tag: str, kind: str) -> bool:
    """Whether a chunk begins between two words, by the script's table."""
    if tag in ("B", "S"):
        return True
    if before in ("E", "S", "O") and tag in ("E", "I"):
        return True
    return tag != "O" and before_type != kind


def chunks(tags: list[str]) -> list[tuple[str, int, int]]:
    """The chunks of a sentence: (type, first word, last word)."""
    made, before, before_type, begin = [], "O", "", 0
    for i, word in enumerate([*tags, "O"]):
        tag, kind = word[0], word[2:] or "_"
        if ended(before, before_type, tag, kind):
            made.append((before_type, begin, i - 1))
        if begun(before, before_type, tag, kind):
            begin = i
        before, before_type = tag, kind
    return made


def drawn(rng: np.random.Generator, scheme: str, rows: int) -> tuple[list[list[str]], np.ndarray]:
    """Random tags, mostly unsound ones, and their indices, padded by -1."""
    labels = tags_of_types(TYPES, scheme)
    sizes = rng.integers(1, 12, rows)
    index = [rng.integers(0, len(labels), size) * (rng.random(size) < 0.8) for size in sizes]
    padded = np.full((rows, sizes.max()), -1)
    for row, tags in zip(padded, index, strict=True):
        row[: len(tags)] = tags
    return [[labels[i] for i in tags] for tags in index], padded


@pytest.mark.parametrize("scheme", SCHEMES)
def test_entities_are_the_script_s_chunks_whatever_the_tags(scheme):
    rng = np.random.default_rng(0)
    for _ in range(40):
        tags, index = drawn(rng, scheme, 8)
        codes = codes_of(index, scheme)
        for names, row in zip(tags, codes, strict=True):
            told = [(TYPES[one.type], one.start, one.stop - 1) for one in entities_of(row)]
            assert told == chunks(names)
        sound = tags_of(codes, scheme)
        np.testing.assert_array_equal(codes_of(sound, scheme), codes)
        np.testing.assert_array_equal(tags_of(codes_of(sound, scheme), scheme), sound)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_is_that_of_the_sets_of_chunks(scheme):
    rng = np.random.default_rng(1)
    for rows in (1, 2, 5, 30):
        for trial in range(10):
            wanted, targets = drawn(rng, scheme, rows)
            told, predictions = drawn(rng, scheme, rows)
            if trial % 2:  # mostly right
                keep = rng.random(rows) < 0.7
                told = [wanted[i] if keep[i] else told[i] for i in range(rows)]
            width = targets.shape[1]
            index = {tag: i for i, tag in enumerate(tags_of_types(TYPES, scheme))}
            predictions = np.zeros((rows, width), dtype=np.int64)
            for i, words in enumerate(map(len, wanted)):
                told[i] = (told[i] + ["O"] * words)[:words]
                predictions[i, :words] = [index[tag] for tag in told[i]]
            ours = {(i, *chunk) for i, tags in enumerate(told) for chunk in chunks(tags)}
            theirs = {(i, *chunk) for i, tags in enumerate(wanted) for chunk in chunks(tags)}
            right = len(ours & theirs)
            expected = 2 * right / (len(ours) + len(theirs)) if ours or theirs else 0.0
            value = get_metric("entity_f1")(
                codes_of(predictions, scheme), codes_of(targets, scheme)
            )
            assert value == pytest.approx(expected, abs=1e-12)


def test_codes_that_go_on_behind_nothing_begin_an_entity():
    """As an I- tag does; so the metric doesn't depend on who made the codes sound."""
    rng = np.random.default_rng(2)
    for _ in range(30):
        _, targets = drawn(rng, "bio", 6)
        predictions = rng.integers(0, 7, targets.shape)
        value = get_metric("entity_f1")(predictions, targets)
        again = get_metric("entity_f1")(codes_of(predictions, "bio"), codes_of(targets, "bio"))
        assert value == pytest.approx(again, abs=1e-12)
