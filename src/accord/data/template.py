"""How a tokenizer frames one text or two: special tokens between them, and the types of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from accord.encoders.packing import TokenSequence
from accord.errors import EncoderError
from accord.kinds import Layout

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer


class Piece(NamedTuple):
    """A text, or special tokens.

    `text` is a text's number; None where the piece is of special tokens `ids`.
    """

    text: int | None
    ids: tuple[int, ...]
    type_id: int


Frame = tuple[Piece, ...]


@dataclass(frozen=True)
class Template:
    """The frames of one text and of two.

    Attributes:
        single: of one text.
        pair: of two.
    """

    single: Frame
    pair: Frame

    @classmethod
    def of_bert(cls, start: int, end: int) -> Template:
        """Return BERT's: `[CLS] a [SEP]` and `[CLS] a [SEP] b [SEP]`, b of type 1."""
        first = (Piece(None, (start,), 0), Piece(0, (), 0), Piece(None, (end,), 0))
        return cls(first, (*first, Piece(1, (), 1), Piece(None, (end,), 1)))

    @classmethod
    def of_tokenizer(cls, tokenizer: Tokenizer) -> Template:
        """Read what a tokenizer does, whatever its post-processor is called.

        Raises:
            EncoderError: if it has words for no text, or types that don't go from 0 to 1.
        """
        words = ("a", *tokenizer.get_vocab())
        read = (known for known in words if tokenizer.encode(known, add_special_tokens=False).ids)
        word = next(read, None)
        if word is None:
            raise EncoderError("the tokenizer makes nothing of its own words")
        return cls(_frame(tokenizer.encode(word)), _frame(tokenizer.encode(word, word)))

    def frame(self, texts: int) -> Frame:
        """Return the frame of one text or two."""
        return self.single if texts == 1 else self.pair

    def special_tokens(self, texts: int) -> int:
        """Return how many tokens are added to one text or two."""
        return sum(len(piece.ids) for piece in self.frame(texts))

    def sequence_lengths(
        self, lengths: npt.NDArray[np.int64], layout: Layout
    ) -> npt.NDArray[np.int64]:
        """Return the tokens of each sequence before it is cut, special tokens included.

        Args:
            lengths: of each text without special tokens, [rows, texts].
            layout: which texts a sequence joins.

        Returns:
            int64 [rows, sequences].
        """
        parts = [
            lengths[:, list(texts)].sum(axis=1) + self.special_tokens(len(texts))
            for texts in layout
        ]
        return np.stack(parts, axis=1)

    def join(
        self, segments: Sequence[np.ndarray], max_length: int, pieces: np.ndarray | None = None
    ) -> TokenSequence:
        """Frame one text or two, cut to `max_length` tokens.

        Args:
            segments: the token ids of each text, without special tokens.
            max_length: most tokens of the result, special tokens included.
            pieces: how many of the first text's tokens each of its words has; None where words
                don't matter.
        """
        room = max_length - self.special_tokens(len(segments))
        lengths = truncated_lengths([len(segment) for segment in segments], max(0, room))
        parts: list[np.ndarray] = []
        first, spans = 0, None
        for text, ids, type_id in self.frame(len(segments)):
            part = np.array(ids) if text is None else segments[text][: lengths[text]]
            if text == 0 and pieces is not None:
                ends = np.concatenate([[0], np.cumsum(pieces, dtype=np.int64)]).clip(max=len(part))
                spans = np.stack([ends[:-1], ends[1:]], axis=1) + sum(
                    len(before) for before in parts
                )
            parts.append(part)
            first += len(part) * (type_id == 0)
        return TokenSequence(np.concatenate(parts), first, spans=spans)


def _frame(encoding: Encoding) -> Frame:
    """Return the pieces of what a tokenizer made of a text or two."""
    pieces: list[Piece] = []
    texts = encoding.sequence_ids
    for number, text, type_id in zip(encoding.ids, texts, encoding.type_ids, strict=True):
        same = bool(pieces) and (pieces[-1].text, pieces[-1].type_id) == (text, type_id)
        before = pieces.pop().ids if same else ()
        pieces.append(Piece(text, (*before, number) if text is None else (), type_id))
    types = [piece.type_id for piece in pieces]
    if types != sorted(types) or not set(types) <= {0, 1}:
        raise EncoderError(f"the tokenizer gives types {types} to pieces; allowed: 0, and then 1")
    return tuple(pieces)


def truncated_lengths(lengths: Sequence[int], room: int) -> list[int]:
    """Return how many tokens of each text fit, taking from the longer first.

    The same lengths as Hugging Face's `longest_first` truncation leaves.

    Args:
        lengths: of one text or two.
        room: for both.

    Example:
        >>> truncated_lengths([10], 4), truncated_lengths([3, 10], 7)
        ([4], [3, 4])
    """
    if sum(lengths) <= room:
        return list(lengths)
    if len(lengths) == 1:
        return [room]
    short = min(lengths)
    long = max(short, room - short) if short <= room else short
    if short + long > room:
        short, long = room // 2, room - room // 2
    return [short, long] if lengths[0] <= lengths[1] else [long, short]
