"""Words and entities as places in a text, in characters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from accord.kinds._entities import entities_of

if TYPE_CHECKING:
    from accord.kinds._targets import Array

Words = Literal["marks", "spaces"]
Place = tuple[int, int]
"""Where something begins in a text, and where it has ended, in characters."""


def word_places(text: str, words: Words) -> list[Place]:
    """Return where the words of a text are.

    Args:
        text: as it was given.
        words: "spaces" divide them; or "marks": a run of letters, digits and what combines with
            them is a word, and so is each other character, and each of Chinese and Japanese.

    Example:
        >>> text = "Don't go, Zoë!"
        >>> [text[slice(*place)] for place in word_places(text, "marks")]
        ['Don', "'", 't', 'go', ',', 'Zoë', '!']
        >>> [text[slice(*place)] for place in word_places(text, "spaces")]
        ["Don't", 'go,', 'Zoë!']
    """
    pattern = re.compile(r"\S+") if words == "spaces" else _pattern()
    return [match.span() for match in pattern.finditer(text)]


@cache
def _pattern() -> re.Pattern[str]:
    alone = "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
    marks = "".join(
        character for character in map(chr, range(0x300, 0x20000))
        if unicodedata.category(character)[0] == "M"
    )  # fmt: skip
    marks += "\u200c\u200d\U000e0100-\U000e01ef"
    return re.compile(rf"(?:(?![{alone}])[^\W_][{marks}]*)+|\S[{marks}]*")


class Span(NamedTuple):
    """An entity as a place in a text."""

    start: int
    stop: int
    type: str

    def named(self, text: str) -> str:
        """Return how messages call it."""
        return f"span {self.start}-{self.stop} '{text[self.start : self.stop]:.40}' ({self.type})"


def codes_of_spans(
    text: str, places: Sequence[Place], spans: Sequence[Span], types: Sequence[str]
) -> list[int]:
    """Return the words' codes from spans of a text.

    Args:
        text: that the spans are of.
        places: of its words.
        spans: in any order.
        types: of entities.

    Raises:
        ValueError: naming a span that is empty, lies outside the text, holds no word, splits a
            word or overlaps another.

    Example:
        >>> codes_of_spans("to New York", [(0, 2), (3, 6), (7, 11)], [Span(3, 11, "x")], ["x"])
        [0, 1, 2]
    """
    codes = [0] * len(places)
    before = Span(0, 0, "")
    for span in sorted(spans):
        if span.stop < span.start:
            raise ValueError(f"{span.named(text)} ends before it begins")
        if not 0 <= span.start <= span.stop <= len(text):
            raise ValueError(f"{span.named(text)} lies outside the text of {len(text)} characters")
        inside = [i for i, (start, stop) in enumerate(places)
                  if start < span.stop and stop > span.start]  # fmt: skip
        if span.start == span.stop or not inside:
            raise ValueError(f"{span.named(text)} holds no word")
        if span.start < before.stop:
            raise ValueError(f"{span.named(text)} overlaps {before.named(text)}")
        for start, stop in (places[inside[0]], places[inside[-1]]):
            if start < span.start or stop > span.stop:
                raise ValueError(f"{span.named(text)} splits the word '{text[start:stop]:.40}'")
        code = 2 * types.index(span.type) + 1
        codes[inside[0] : inside[-1] + 1] = [code] + [code + 1] * (len(inside) - 1)
        before = span
    return codes


def entity_records(
    text: str | Sequence[str], codes: Array, likeliest: Array, types: Sequence[str], words: Words
) -> list[dict[str, Any]]:
    """Return a row's entities as files of predictions have them.

    Args:
        text: as it was given, or its words.
        codes: of its words, [words], sound (`accord.kinds._entities`).
        likeliest: the probability of each word's tag, [words].
        types: of entities.
        words: what the words of a text are.
    """
    places = word_places(text, words) if isinstance(text, str) else None
    records = []
    for type_, first, behind in entities_of(codes):
        start, stop = first, behind
        if places is not None:
            start, stop = places[first][0], places[behind - 1][1]
        named = text[start:stop]
        records.append({
            "start": start, "end": stop,
            "text": named if isinstance(named, str) else " ".join(named),
            "label": types[type_],
            "probability": round(float(likeliest[first:behind].prod()), 6),
        })  # fmt: skip
    return records
