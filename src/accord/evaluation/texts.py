"""Texts as callers give them: what each task takes, and the sequences that are made of them."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from tokenizers import Tokenizer

from accord.data.examples import Given
from accord.data.loader import Assembler, uncut_lengths
from accord.data.ragged import padded
from accord.data.tokenizing import encode_texts, encode_words
from accord.encoders.packing import TokenSequence
from accord.encoders.units import vector_counts
from accord.errors import UsageError
from accord.kinds import get_kind, kind_of, labelled_kind, texts_of
from accord.tasks import Task

Text = str | Sequence[str | Sequence[str]]

Form = Literal["a text", "a pair of texts", "a text and its candidates", "a list of words"]
"""What a row may be."""


def forms(task: Task) -> tuple[Form, ...]:
    """Return the forms of rows that a task takes."""
    return _forms(task.kind)


@cache
def _forms(kind: str) -> tuple[Form, ...]:
    if get_kind(kind).units == "words":
        return "a text", "a list of words"
    if get_kind(kind).varying:
        return ("a text and its candidates",)
    return ("a text",) if texts_of(kind) == 1 else ("a pair of texts",)


def form_of(text: object, index: int, taken: Collection[Form]) -> Form:
    """Return what form a row has.

    Args:
        text: the row.
        index: which it is, for a message.
        taken: the forms that some task takes; of two strings they decide whether these are a pair.

    Raises:
        UsageError: if no task takes it.
    """
    possible: tuple[Form, ...] = ()
    if isinstance(text, str):
        possible = ("a text",)
    elif isinstance(text, tuple | list) and len(text) == 2 and isinstance(text[1], tuple | list):
        possible = ("a text and its candidates",)
    elif isinstance(text, tuple | list):
        pair: tuple[Form, ...] = ("a pair of texts",) if len(text) == 2 else ()
        possible = (*pair, "a list of words", "a text and its candidates")
    for form in possible:
        if form in taken:
            return form
    what = f", not {possible[0]}" if possible else ""
    raise UsageError(
        f"text {index}: the tasks asked take {' or '.join(sorted(taken))}{what}; got {text!r:.60}"
    )


def checked(text: object, task: Task, index: int) -> Given:
    """Return a row's texts, or its text or words where these have labels; the same for all tasks
    of one kind.

    Raises:
        UsageError: it is not what the task takes; `index` says which row that is.
    """
    if kind_of(task).units == "words":
        words = (text,) if isinstance(text, str) else text
        if not isinstance(words, tuple | list):
            raise UsageError(
                f"text {index}: task '{task.name}' takes texts or lists of words, got {text!r:.80}"
            )
        _check_strings(words, index)
        return text if isinstance(text, str) else tuple(words)
    parts: Any = _with_candidates(text, task, index) if kind_of(task).varying else text
    if not kind_of(task).varying:
        parts = (text,) if task.texts == 1 else text
        if not isinstance(parts, tuple | list) or len(parts) != task.texts:
            raise UsageError(
                f"text {index}: task '{task.name}' takes pairs of texts, got {text!r:.80}"
            )
    _check_strings(parts, index)
    return tuple(part.strip() for part in parts)


def _check_strings(parts: Sequence[object], index: int) -> None:
    for part in parts:
        if not isinstance(part, str):
            raise UsageError(f"text {index}: should be a string, got {type(part).__name__}")
        try:
            part.encode()
        except UnicodeEncodeError:
            fault = f"text {index}: holds a lone surrogate, which is no character"
            raise UsageError(fault) from None


def _with_candidates(text: object, task: Task, index: int) -> tuple[object, ...]:
    """Return a row's text, and its candidates, which may stand in a list."""
    if isinstance(text, tuple | list) and len(text) == 2 and isinstance(text[1], tuple | list):
        text = (text[0], *text[1])
    fewest = kind_of(task).fewest
    if not isinstance(text, tuple | list) or len(text) <= fewest:
        raise UsageError(
            f"text {index}: task '{task.name}' takes a text and {fewest} or more"
            f" {kind_of(task).candidate}s, got {text!r:.80}"
        )
    return tuple(text)


@dataclass(frozen=True)
class Read:
    """Rows as the encoder reads them.

    Attributes:
        examples: the sequences of each.
        cut: how many rows are longer than the model reads.
        unseen: how many words have no vector: they are cut off, or no token is left of them.
    """

    examples: list[list[TokenSequence]]
    cut: int
    unseen: int


@dataclass(frozen=True)
class TextReader:
    """Makes sequences of texts.

    Attributes:
        tokenizer: the model's.
        assembler: adds special tokens, and cuts.
    """

    tokenizer: Tokenizer
    assembler: Assembler

    @staticmethod
    def reading(task: Task) -> Hashable:
        """Return what tasks have in common that read the same sequences of any row."""
        if kind_of(task).units == "words":
            return str(sorted(labelled_kind(task).reading(task).items()))
        return task.name if kind_of(task).varying else task.layout

    def read(self, task: Task, rows: Sequence[Given]) -> Read:
        """Return rows as a task reads them."""
        kind = kind_of(task)
        segments, counts, pieces = self._encoded(task, rows)
        examples = [
            self.assembler.laid_out(
                segments[stop - texts : stop],
                kind.layout_of(task, texts),
                pieces[stop - texts : stop],
            )
            for texts, stop in zip(counts.tolist(), counts.cumsum().tolist(), strict=True)
        ]
        lengths = padded(np.array([*map(len, segments)], dtype=np.int64), counts, 0)
        uncut = uncut_lengths(task, self.assembler.special.framing, lengths, counts)
        cut = int((uncut > self.assembler.max_length).any(axis=1).sum())
        unseen = sum(map(len, pieces)) - int(vector_counts(kind.units, examples).sum())
        return Read(examples, cut, unseen if pieces else 0)

    def _encoded(
        self, task: Task, rows: Sequence[Given]
    ) -> tuple[list[np.ndarray], np.ndarray, list[np.ndarray]]:
        """Return the tokens of all rows' texts, how many texts each row has, and, for a kind that
        labels words, how many tokens each word has."""
        if kind_of(task).units != "words":
            counts = np.array([*map(len, rows)], dtype=np.int64)
            return encode_texts(self.tokenizer, [text for row in rows for text in row]), counts, []
        options = labelled_kind(task).reading(task)
        words = [
            [row[start:stop] for start, stop in kind_of(task).word_places(options, row)]
            if isinstance(row, str)
            else row
            for row in rows
        ]
        tokens, lengths = encode_words(self.tokenizer, words)
        pieces = np.split(lengths, np.cumsum([*map(len, words)])[:-1])
        segments = np.split(tokens, np.cumsum([each.sum() for each in pieces])[:-1])
        return segments, np.ones(len(rows), dtype=np.int64), pieces
