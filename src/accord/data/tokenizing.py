"""A folder's WordPiece tokenizer, and texts as token ids without special tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from accord.durable import read_json
from accord.errors import EncoderError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TEXT_CHARACTERS = 20_000
"""What is read of a text: far more than 512 tokens, and a megabyte still costs no time."""

_SPECIALS = ("[CLS]", "[SEP]", "[PAD]", "[UNK]")


@dataclass(frozen=True)
class SpecialIds:
    """The vocabulary ids of the tokens that frame a text, and of that which hides a word.

    `mask` is None where the vocabulary has none.
    """

    cls: int
    sep: int
    pad: int
    mask: int | None = None


def load_tokenizer(folder: Path) -> Tokenizer:
    """Load `tokenizer.json`, or build the tokenizer from `vocab.txt`.

    Truncation and padding that the file fixes are switched off: lengths are decided at packing.

    Args:
        folder: an encoder in Hugging Face format.

    Raises:
        EncoderError: neither file is there, or it can't be used.
    """
    from tokenizers import Tokenizer

    if (folder / "tokenizer.json").is_file():
        try:
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # tokenizers raises bare Exception
            raise EncoderError(f"{folder / 'tokenizer.json'}: can't be read: {error}") from None
    elif (folder / "vocab.txt").is_file():
        tokenizer = _from_vocabulary(folder)
    else:
        raise EncoderError(f"{folder}: no tokenizer: neither tokenizer.json nor vocab.txt is there")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    special_ids(tokenizer)
    return tokenizer


def special_ids(tokenizer: Tokenizer) -> SpecialIds:
    """Look up the special tokens.

    Raises:
        EncoderError: the vocabulary lacks one of BERT's.
    """
    ids: dict[str, int] = {}
    for token in _SPECIALS:
        number = tokenizer.token_to_id(token)
        if number is None:
            raise EncoderError(f"the tokenizer's vocabulary has no {token}: not a BERT tokenizer")
        ids[token] = number
    mask = tokenizer.token_to_id("[MASK]")
    return SpecialIds(ids["[CLS]"], ids["[SEP]"], ids["[PAD]"], mask)


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
    encodings = tokenizer.encode_batch_fast(capped, add_special_tokens=False)
    flat: list[int] = []  # one list: Python's collector looks through thousands of them for long
    for encoding in encodings:
        flat += encoding.ids
    lengths = np.fromiter(map(len, encodings), dtype=np.int64, count=len(encodings))
    return np.array(flat, dtype=np.int32), lengths


def fingerprint(tokenizer: Tokenizer) -> str:
    """Return the SHA-256 of the tokenizer's serialised form."""
    return hashlib.sha256(tokenizer.to_str().encode()).hexdigest()


def _from_vocabulary(folder: Path) -> Tokenizer:
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from tokenizers.processors import BertProcessing

    vocabulary = _read_vocabulary(folder / "vocab.txt")
    options = _options(folder / "tokenizer_config.json")
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=options.get("tokenize_chinese_chars", True),
        strip_accents=options.get("strip_accents"),
        lowercase=options.get("do_lower_case", True),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    known = [token for token in (*_SPECIALS, "[MASK]") if token in vocabulary]
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in known])
    ids = special_ids(tokenizer)
    tokenizer.post_processor = BertProcessing(("[SEP]", ids.sep), ("[CLS]", ids.cls))
    return tokenizer


def _read_vocabulary(path: Path) -> dict[str, int]:
    try:
        with path.open(encoding="utf-8") as file:
            return {line.rstrip("\n"): index for index, line in enumerate(file)}
    except (OSError, UnicodeDecodeError) as error:
        raise EncoderError(f"{path}: can't be read: {error}") from None


def _options(path: Path) -> dict[str, Any]:
    try:
        options = read_json(path)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise EncoderError(f"{path}: can't be read: {error}") from None
    if not isinstance(options, dict):
        raise EncoderError(f"{path}: not a JSON object")
    return options
