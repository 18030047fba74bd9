"""What a `tokenizer.json` may be made of: parts that end, in little memory, on any text.

A regular expression may never end on a text that was written for it, a replacement may grow
without bound, and other parts have ways to stop the whole process: none of them is BERT's.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from accord.errors import EncoderError

ALLOWED = {
    "normalizer": (
        "BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Strip", "StripAccents",
    ),
    "pre_tokenizer": (
        "BertPreTokenizer", "ByteLevel", "CharDelimiterSplit", "Digits", "Metaspace", "Punctuation",
        "UnicodeScripts", "Whitespace", "WhitespaceSplit",
    ),
    "model": ("WordPiece", "BPE", "WordLevel"),
    "decoder": ("BPEDecoder", "ByteLevel", "Metaspace", "WordPiece"),
}  # fmt: skip
LONGEST_WORD = 500
"""Characters of a word that WordPiece may look at: its time grows with their square."""

MOST_PARTS = 20  # of a sequence


def check_parts(serialised: dict[str, Any], file: Path) -> None:
    """Check that a `tokenizer.json` holds allowed parts alone.

    Raises:
        EncoderError: naming the part.
    """
    for place, allowed in ALLOWED.items():
        for part in _parts(serialised.get(place), place, file):
            kind = part.get("type", "WordPiece" if place == "model" else None)
            if kind not in allowed:
                raise EncoderError(
                    f"{file}: {place} holds {kind!r:.80}; allowed: {', '.join(allowed)}"
                )
    _check_model(serialised.get("model"), file)


def _parts(part: Any, place: str, file: Path) -> Iterator[dict[str, Any]]:
    """Yield a part, or for a sequence all that it is made of."""
    waiting = [] if part is None else [part]
    for count in range(MOST_PARTS + 1):
        if not waiting:
            return
        part = waiting.pop()
        if count == MOST_PARTS or not isinstance(part, dict):
            break
        if part.get("type") == "Sequence" and place != "model":
            inner = next((value for key, value in part.items() if key.endswith("s")), None)
            if not isinstance(inner, list):
                break
            waiting += inner
        else:
            yield part
    raise EncoderError(f"{file}: {place} can't be read, or has more than {MOST_PARTS} parts")


def _check_model(model: Any, file: Path) -> None:
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(vocabulary, dict):
        raise EncoderError(f"{file}: can't be read: its model has no vocabulary of words with ids")
    ids = vocabulary.values()
    if not ids or set(map(type, ids)) != {int} or not 0 <= min(ids) <= max(ids) < 2**31:
        raise EncoderError(f"{file}: can't be read: its vocabulary has no words, or odd ids")
    spells = model.get("type") == "BPE"  # and may do so without a token for what is unknown
    unknown = model.get("unk_token", None if spells else "[UNK]")
    if not (spells and unknown is None) and (unknown != "[UNK]" or unknown not in vocabulary):
        raise EncoderError(
            f"{file}: unk_token is {unknown!r:.80}; allowed: '[UNK]', as a word of the vocabulary"
        )
    longest = model.get("max_input_chars_per_word", 100)
    if not (isinstance(longest, int) and 0 <= longest <= LONGEST_WORD):
        raise EncoderError(
            f"{file}: max_input_chars_per_word is {longest!r:.80}; allowed: up to {LONGEST_WORD}"
        )
    for key in ("dropout", "continuing_subword_prefix", "end_of_word_suffix") if spells else ():
        if model.get(key):
            raise EncoderError(f"{file}: {key} is {model[key]!r:.80}; allowed in a BPE: none")
