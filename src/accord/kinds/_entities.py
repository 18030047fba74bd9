"""Entities of words: their codes, and the tags of a scheme.

The code of a word says which entity it is in, whatever the tags: 0 in none, 2t + 1 where one of
type t begins, 2t + 2 where it goes on, -1 behind a row's words. A scheme's tags are ordered by
type: O and then, of each type, B and I ("bio"), or B, I, E and S ("iobes"). So the codes of sound
tags in scheme "bio" are the tags' indices.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from accord.kinds._targets import Array


Scheme = Literal["bio", "iobes", "plain"]
OUTSIDE = "O"
LETTERS = {"bio": "BI", "iobes": "BIES"}
"""What begins a tag of a word in an entity: it begins there, goes on, ends, or is that word."""

_SLIPS = 0.05
"""Share of the tags of entities that may have other letters and be no scheme of its own: fewer than
of labels (`accord.data.labels.MOST_SLIPS`), as another scheme may have one such letter in a long
entity."""


def scheme_of(tags: Iterable[str]) -> Scheme | None:
    """Return the scheme of most words' tags; None where they may be of another one than these.

    Example:
        >>> scheme_of(["O", "B-place", "I-place"]), scheme_of(["O", "S-place"]), scheme_of(["NN"])
        ('bio', 'iobes', 'plain')
        >>> scheme_of(["O", "B-place", "L-place", "U-place"]) is None
        True
    """
    others = Counter(tags)
    del others[OUTSIDE]
    like = [tag for tag in others if re.fullmatch(r"[A-Z](-.+)?", tag)]
    if 2 * sum(others[tag] for tag in like) <= others.total():
        return "plain"
    letters = Counter[str]()
    for tag in like:
        letters[tag[0]] += others[tag]
    known = sum(letters[letter] for letter in LETTERS["iobes"])
    if known < (1 - _SLIPS) * letters.total():
        of_entities = bool(letters["B"] or letters["I"]) and any(tag[1:] for tag in like)
        return None if of_entities else "plain"
    # Of sound iobes each B has an E.
    ends = letters["E"] + letters["S"]
    return "iobes" if ends and 2 * ends >= letters["B"] else "bio"


def type_of(tag: str, scheme: Scheme) -> str | None:
    """Return the type that a tag names, '' of a bare letter; None where it is none of the scheme.

    Example:
        >>> type_of("B-place", "bio"), type_of("I", "bio"), type_of("S-place", "bio")
        ('place', '', None)
    """
    match = re.fullmatch(rf"[{LETTERS[scheme]}](?:-(.+))?", tag)
    return None if match is None else match[1] or ""


def tags_of_types(types: Iterable[str], scheme: Scheme) -> tuple[str, ...]:
    """Return a scheme's tags in their order.

    Example:
        >>> tags_of_types(["place", "person"], "bio")
        ('O', 'B-place', 'I-place', 'B-person', 'I-person')
    """
    letters = LETTERS[scheme]
    named = (f"{each}-{of}" if of else each for of in types for each in letters)
    return (OUTSIDE, *named)


def codes_of(tags: Array, scheme: Scheme) -> Array:
    """Return the entities that tags stand for, sound or not.

    A word begins an entity where its tag does, where the word before is in none or in one of
    another type, or ends one: as seqeval and the script of the CoNLL-2000 task read them.

    Args:
        tags: indices, [..., words]; -1 behind a row's words.
        scheme: but "plain".

    Example:
        >>> import numpy as np
        >>> codes_of(np.array([2, 2, 4, 0, 1, 1, -1]), "bio").tolist()
        [1, 2, 3, 0, 1, 1, -1]
    """
    import numpy as np

    each = len(LETTERS[scheme])
    inside, type_, letter = tags > 0, (tags - 1) // each, (tags - 1) % each
    begins = letter == 0
    if each > 2:
        begins = begins | (letter == 3) | _before(letter >= 2, False)
    begins = begins | ~_before(inside, False) | (type_ != _before(type_, -1))
    return np.where(inside, 2 * type_ + np.where(begins, 1, 2), tags)


def tags_of(codes: Array, scheme: Scheme) -> Array:
    """Return the sound tags of entities, [..., words].

    Example:
        >>> import numpy as np
        >>> tags_of(np.array([1, 2, 0, 3, -1]), "iobes").tolist()
        [1, 3, 0, 8, -1]
    """
    import numpy as np

    if scheme == "bio":
        return codes
    inside, type_, goes_on = codes > 0, (codes - 1) // 2, (codes > 0) & (codes % 2 == 0)
    followed = np.concatenate([goes_on[..., 1:], np.zeros_like(goes_on[..., :1])], -1)
    letter = np.where(goes_on, np.where(followed, 1, 2), np.where(followed, 0, 3))
    return np.where(inside, 4 * type_ + letter + 1, codes)


def _before(values: Array, first: object) -> Array:
    """Return for each word what the word before it has."""
    import numpy as np

    start = np.full_like(values[..., :1], first)
    return np.concatenate([start, values[..., :-1]], -1)


class Entity(NamedTuple):
    """An entity of a row: its type's number, its first word, and the one after its last."""

    type: int
    start: int
    stop: int


def entities_of(codes: Array) -> list[Entity]:
    """Return a row's entities, from the codes of its words [words].

    Example:
        >>> import numpy as np
        >>> entities_of(np.array([0, 1, 2, 3, -1]))
        [Entity(type=0, start=1, stop=3), Entity(type=1, start=3, stop=4)]
    """
    from accord.metrics.entity_f1 import entity_places

    begins, last = entity_places(codes)
    return [
        Entity((int(codes[start]) - 1) // 2, start, int(last[start]) + 1)
        for start in begins.nonzero()[0].tolist()
    ]
