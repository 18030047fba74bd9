"""Which words of a text a masked language model predicts: a function of (seed, step, place)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from accord.encoders.packing import MaskedWords, TokenSequence

MASKED, REPLACED = 0.8, 0.1  # of the chosen words; the rest stay as they are
_DRAWS = 1 << 25  # keeps these draws apart from all others of the same seed and step


def mask_words(
    sequences: Sequence[TokenSequence],
    share: float,
    mask: int,
    vocabulary: int,
    key: Sequence[int],
    first: int = 0,
) -> list[TokenSequence]:
    """Hide words of texts.

    Of a text's n tokens max(1, n · share), rounded, are chosen without replacement. Of these 80 %
    become [MASK], 10 % any word of the vocabulary, and 10 % stay. Special tokens are never chosen.

    *Source:* Devlin et al. 2019, BERT, section 3.1 and appendix A.1. We differ in counting a text's
    own tokens alone, without [CLS] and [SEP].

    Args:
        sequences: `[CLS] text [SEP]` each, with at least one token of text.
        share: of a text's tokens, in (0, 1).
        mask: id of [MASK].
        vocabulary: words are drawn from the ids below it.
        key: names the draws, as (seed, step, task).
        first: place of the first text; each text's draws are its own place's.

    Returns:
        The sequences with the words hidden, and what stood there.
    """
    return [
        _masked(sequence, share, mask, vocabulary, np.random.default_rng([_DRAWS, *key, i]))
        for i, sequence in enumerate(sequences, first)
    ]


def _masked(
    sequence: TokenSequence, share: float, mask: int, vocabulary: int, rng: np.random.Generator
) -> TokenSequence:
    tokens = len(sequence.input_ids) - 2
    count = max(1, int(tokens * share + 0.5))
    positions = np.sort(rng.choice(tokens, count, replace=False)) + 1
    fate, words = rng.random(count), rng.integers(vocabulary, size=count)
    original = sequence.input_ids[positions].astype(np.int64)
    seen = np.where(fate < MASKED, mask, np.where(fate < MASKED + REPLACED, words, original))
    ids = sequence.input_ids.copy()
    ids[positions] = seen
    return replace(sequence, input_ids=ids, words=MaskedWords(positions, original))


def weighted(sequences: Sequence[TokenSequence]) -> Iterator[TokenSequence]:
    """Yield masked texts with weights under which the mean of their losses is that of all words.

    A text's loss is the weighted sum over its m masked words; with n texts and M words in all the
    weight is n/M, so Σ/n over texts is Σ/M over words, however the texts are cut into passes.
    """
    counts = [len(sequence.words.ids) for sequence in sequences if sequence.words is not None]
    for sequence in sequences:
        if sequence.words is not None:
            words = replace(sequence.words, weight=len(counts) / sum(counts))
            yield replace(sequence, words=words)
