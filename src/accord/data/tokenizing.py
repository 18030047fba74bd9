"""A folder's WordPiece tokenizer, and texts as token ids without special tokens."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from accord.data.ragged import ranges
from accord.data.template import Template
from accord.data.tokenizer_files import (
    ADDED,
    CONFIG,
    JSON,
    SPECIAL_MAP,
    VOCABULARY,
    read_tokenizer_files,
)
from accord.data.tokenizer_making import (
    add_words,
    bert_tokenizer,
    check_framing,
    check_vocabulary,
    serialised_tokenizer,
    stated,
)
from accord.data.unreachable import check_reachable
from accord.errors import AccordError, EncoderError, printable

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.processors import BertProcessing

TEXT_CHARACTERS = 20_000
"""What is read of a text: far more than 512 tokens, and a megabyte still costs no time."""

_SPECIALS = ("[CLS]", "[SEP]", "[PAD]", "[UNK]")


@dataclass(frozen=True)
class SpecialIds:
    """The vocabulary ids of special tokens, and how they frame texts.

    `mask`, which hides a word, is None where the vocabulary has none; a `template` of None is
    BERT's.
    """

    cls: int
    sep: int
    pad: int
    mask: int | None = None
    template: Template | None = None

    @property
    def framing(self) -> Template:
        """How texts are framed."""
        return self.template or Template.of_bert(self.cls, self.sep)


def load_tokenizer(folder: Path) -> Tokenizer:
    """Load a folder's tokenizer: it gives the ids that transformers' AutoTokenizer gives.

    Truncation and padding that the files fix are left out: lengths are decided at packing.

    Args:
        folder: an encoder in Hugging Face format.

    Raises:
        EncoderError: there is none; its files contradict each other or hold what isn't run here;
            or it has an id for which the encoder has no row.
    """
    files = read_tokenizer_files(folder)
    with _calling_library(f"{folder}: the tokenizer can't be read"):
        tokenizer = serialised_tokenizer(files) if files.as_it_is else bert_tokenizer(files)
        add_words(tokenizer, files)
        check_framing(tokenizer, files)
        tokenizer.post_processor = _framing(_special_tokens(tokenizer, folder))
        vocabulary = tokenizer.get_vocab()
        check_vocabulary(vocabulary, files)
        check_reachable(tokenizer, vocabulary, files)
    return tokenizer


def save_tokenizer(source: Path, target: Path) -> None:
    """Write a folder's tokenizer into another, for AutoTokenizer and all who read one file alone.

    Args:
        source: as `load_tokenizer` takes it.
        target: a folder. Its `tokenizer.json` and `tokenizer_config.json` say the same.

    Raises:
        FileNotFoundError: the source has neither of the files that one is made of.
        EncoderError: as `load_tokenizer`.
    """
    if not any((source / name).is_file() for name in (JSON, VOCABULARY)):
        raise FileNotFoundError(errno.ENOENT, "the tokenizer's files are gone", str(source))
    files, tokenizer = read_tokenizer_files(source), load_tokenizer(source)
    for name in (VOCABULARY, ADDED, SPECIAL_MAP):
        if (source / name).is_file():
            (target / name).write_bytes((source / name).read_bytes())
    (target / JSON).write_text(tokenizer.to_str(pretty=True), encoding="utf-8")
    config = json.dumps({**files.config, **stated(files)}, indent=2, ensure_ascii=False)
    (target / CONFIG).write_text(config + "\n", encoding="utf-8")


@contextmanager
def _calling_library(what: str) -> Iterator[None]:
    """Turn whatever the library raises, its panics among them, into one line.

    Raises:
        EncoderError: beginning with `what`.
    """
    try:
        yield
    except AccordError:
        raise
    except BaseException as error:  # it raises bare Exception, and its panics are not even that
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = printable(str(error)) or type(error).__name__
        raise EncoderError(f"{what}: {reason:.300}") from None


def special_ids(tokenizer: Tokenizer) -> SpecialIds:
    """Look up the special tokens, and read off how they frame texts.

    Args:
        tokenizer: as `load_tokenizer` returns it.

    Raises:
        EncoderError: the vocabulary lacks one of BERT's.
    """
    return replace(_special_tokens(tokenizer), template=Template.of_tokenizer(tokenizer))


def _special_tokens(tokenizer: Tokenizer, folder: Path | None = None) -> SpecialIds:
    ids: dict[str, int] = {}
    for token in _SPECIALS:
        number = tokenizer.token_to_id(token)
        if number is None:
            where = "" if folder is None else f"{folder}: "
            raise EncoderError(
                f"{where}the tokenizer's vocabulary has no {token}: not a BERT tokenizer"
            )
        ids[token] = number
    mask = tokenizer.token_to_id("[MASK]")
    return SpecialIds(ids["[CLS]"], ids["[SEP]"], ids["[PAD]"], mask)


def _framing(ids: SpecialIds) -> BertProcessing:
    from tokenizers.processors import BertProcessing

    return BertProcessing(("[SEP]", ids.sep), ("[CLS]", ids.cls))


def encode_texts(
    tokenizer: Tokenizer, texts: Sequence[str], characters: int = TEXT_CHARACTERS
) -> list[npt.NDArray[np.int32]]:
    """Return each text's token ids, without special tokens and without truncation.

    Args:
        tokenizer: as `load_tokenizer` returns it.
        texts: proper Unicode, without lone surrogates.
        characters: how many characters of each text are read at most.
    """
    tokens, lengths = encode_flat(tokenizer, texts, characters)
    stops = np.cumsum(lengths).tolist()
    return [tokens[start:stop] for start, stop in zip([0, *stops], stops, strict=False)]


def encode_flat(
    tokenizer: Tokenizer, texts: Sequence[str], characters: int = TEXT_CHARACTERS
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Return the ids of `encode_texts` end to end, and how many are each text's.

    Other threads of Python go on meanwhile.
    """
    capped = [text[:characters] for text in texts]
    with _calling_library("the tokenizer can't split a text"):
        encodings = tokenizer.encode_batch_fast(capped, add_special_tokens=False)
    flat: list[int] = []  # one list: Python's collector looks through thousands of them for long
    for encoding in encodings:
        flat += encoding.ids
    lengths = np.fromiter(map(len, encodings), dtype=np.int64, count=len(encodings))
    return np.array(flat, dtype=np.int32), lengths


def encode_words(
    tokenizer: Tokenizer, texts: Sequence[Sequence[str]], characters: int = TEXT_CHARACTERS
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Return the token ids of each text's words end to end, and how many are each word's.

    A word may have none: what the tokenizer drops, and what stands behind the text's first
    characters, words joined by spaces, that are read.
    """
    read = [word for text in texts for word in _first_words(text, characters)]
    number = {word: i for i, word in enumerate(dict.fromkeys(read))}  # most stand many times
    tokens, lengths = encode_flat(tokenizer, list(number), characters)
    words = np.fromiter((number[word] for word in read), dtype=np.int64, count=len(read))
    return tokens[ranges(lengths, words)], lengths[words]


def _first_words(text: Sequence[str], characters: int) -> Iterator[str]:
    """Yield a text's words, cut where it is longer than so many characters."""
    for word in text:
        yield word[: max(0, characters)]
        characters -= len(word) + 1


def fingerprint(tokenizer: Tokenizer) -> str:
    """Return the SHA-256 of the tokenizer's serialised form."""
    return hashlib.sha256(tokenizer.to_str().encode()).hexdigest()
