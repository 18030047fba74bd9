"""Which words are hidden: how many, what stands in their place, and that none of it is state."""

import numpy as np
import pytest

from accord.data.masking import mask_words, weighted
from accord.encoders.packing import TokenSequence

MASK, CLS, SEP, WORDS = 3, 1, 2, 5000


def texts(lengths, seed=0):
    rng = np.random.default_rng(seed)
    return [
        TokenSequence(np.array([CLS, *rng.integers(5, WORDS, length), SEP]), first=length + 2)
        for length in lengths
    ]


def test_shares_are_bert_s():
    before = texts([200] * 100)
    after = mask_words(before, 0.15, MASK, WORDS, (0, 0, 0))
    seen = np.concatenate([each.input_ids[each.words.positions] for each in after])
    there = np.concatenate([each.words.ids for each in after])
    assert len(seen) == 100 * 30
    hidden, kept = (seen == MASK).mean(), (seen == there).mean()
    assert hidden == pytest.approx(0.8, abs=0.03)
    assert kept == pytest.approx(0.1, abs=0.02)
    other = seen[(seen != MASK) & (seen != there)]
    assert len(other) / len(seen) == pytest.approx(0.1, abs=0.02)
    assert len(np.unique(other)) > 0.9 * len(other)  # any word


@pytest.mark.parametrize(("tokens", "share", "count"), [(1, 0.15, 1), (3, 0.15, 1), (10, 0.15, 2),
                                                        (20, 0.15, 3), (20, 0.5, 10)])  # fmt: skip
def test_a_text_has_its_share_and_at_least_one(tokens, share, count):
    (before,) = texts([tokens])
    (after,) = mask_words([before], share, MASK, WORDS, (7, 3, 1))
    at = after.words.positions
    assert len(set(at.tolist())) == len(at) == count
    assert 0 < at.min() <= at.max() <= tokens  # neither [CLS] nor [SEP]
    assert after.words.ids.tolist() == before.input_ids[at].tolist()
    elsewhere = np.setdiff1d(np.arange(tokens + 2), at)
    assert (after.input_ids[elsewhere] == before.input_ids[elsewhere]).all()


def test_masks_are_a_function_of_seed_step_task_and_place():
    before = texts([40] * 4)
    whole = mask_words(before, 0.15, MASK, WORDS, (0, 5, 2))
    rest = mask_words(before[2:], 0.15, MASK, WORDS, (0, 5, 2), first=2)
    for each, again in zip(whole[2:], rest, strict=True):
        assert (each.input_ids == again.input_ids).all()
    actual = {
        tuple(mask_words(before, 0.15, MASK, WORDS, key)[0].words.positions)
        for key in ((0, 5, 2), (1, 5, 2), (0, 6, 2), (0, 5, 3))
    }
    assert len(actual) == 4
    assert len({tuple(each.words.positions) for each in whole}) == 4


def test_weights_make_the_mean_over_texts_that_over_words():
    after = list(weighted(mask_words(texts([7, 20, 60]), 0.15, MASK, WORDS, (0, 0, 0))))
    counts = [len(each.words.ids) for each in after]
    assert counts == [1, 3, 9]
    losses = np.array([2.0, 5.0, 11.0])  # of each word of a text
    mean = np.mean([each.words.weight * n * loss for each, n, loss
                    in zip(after, counts, losses, strict=True)])  # fmt: skip
    assert mean == pytest.approx((counts * losses).sum() / sum(counts))
