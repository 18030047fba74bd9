"""Vocabularies with words that the tokenizer never produces, because it strips case or accents."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from accord.data.tokenizer_files import CONFIG, TokenizerFiles
from accord.errors import EncoderError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SHARE = 0.01
"""From how many of a vocabulary's words on it can't be that of the tokenizer. Words that somebody
put in the place of BERT's unused ones are fewer."""


def check_reachable(
    tokenizer: Tokenizer, vocabulary: dict[str, int], files: TokenizerFiles
) -> None:
    """Check that the tokenizer leaves its own vocabulary's words as they are.

    Raises:
        EncoderError: many lose their capitals or accents, and no file says that they should;
            where one says so it is a warning.
    """
    lost, count = unreachable(tokenizer, vocabulary)
    if len(lost) <= SHARE * count:
        return
    words = ", ".join(f"{word!r:.40}" for word in lost[:3])
    what = (
        f"{files.folder}: {len(lost)} of the vocabulary's {count} words can't come out of any text,"
        f" as the tokenizer takes off capitals or accents: {words}"
    )
    if files.as_it_is or files.serialised is not None or "do_lower_case" in files.config:
        warnings.warn(
            f"{what}; if the encoder was pretrained on them, {CONFIG} should say"
            ' "do_lower_case": false, or "strip_accents": false',
            stacklevel=3,
        )
        return
    raise EncoderError(
        f"{what}; that is transformers' default where {CONFIG} does not say do_lower_case: write"
        ' "do_lower_case": false into it, or true if the encoder was pretrained so'
    )


def unreachable(tokenizer: Tokenizer, vocabulary: dict[str, int]) -> tuple[list[str], int]:
    """Return the words that normalisation changes, and how many words there are.

    Special tokens, and others in brackets, are not words; nor are BPE's pieces, which some spell
    in bytes.
    """
    from tokenizers.models import BPE

    if tokenizer.normalizer is None or isinstance(tokenizer.model, BPE):
        return [], 0
    added = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    words = [
        word.removeprefix("##") for word in vocabulary.keys() - added
        if not (word.startswith("[") and word.endswith("]"))
    ]  # fmt: skip
    changed = [
        word for word in words
        if not (word.isascii() and word == word.lower())
        and tokenizer.normalizer.normalize_str(word).strip() != word
    ]  # fmt: skip
    return sorted(changed), len(words)
