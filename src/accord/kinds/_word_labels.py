"""Tags and spans of a row's words, as files have them, and what a training file says of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from accord.data.labels import HIDDEN, NO_LISTS, LabelParser, quoted, sort_labels
from accord.errors import ConfigError, nearest
from accord.kinds._class_names import refuse_too_many
from accord.kinds._entities import (
    LETTERS,
    OUTSIDE,
    Scheme,
    codes_of,
    scheme_of,
    tags_of,
    tags_of_types,
    type_of,
)
from accord.kinds._spans import Place, Span, codes_of_spans, word_places
from accord.plural import count
from accord.spelling import canonical_label

if TYPE_CHECKING:
    from accord.data.plan import TaskPlan
    from accord.kinds._context import TrainingLabels
    from accord.kinds._targets import Array
    from accord.kinds.token_classification import TokenTask


class TagParser(LabelParser):
    """Turns a row's tags, or its spans, into the words' codes (`accord.kinds._entities`), or the
    indices of plain tags."""

    def __init__(self, plan: TaskPlan, task: TokenTask) -> None:
        super().__init__(plan, among_values=False)
        self._task, self._text = task, plan.text[0]
        self._indices = {tag: i for i, tag in enumerate(task.labels)}

    def names(self, label: str) -> bool:
        return label in self._indices

    def leaves_out(
        self, values: Mapping[str, str], lists: Mapping[str, Sequence[Any]] = NO_LISTS
    ) -> bool:
        return self.column not in lists and self.is_missing(values[self.column])

    def of_row(
        self, values: Mapping[str, str], lists: Mapping[str, Sequence[Any]] = NO_LISTS
    ) -> list[int]:
        items = lists.get(self.column)
        if items is None:
            label = canonical_label(values[self.column])
            if self._is_blank(label):
                raise self.blank(label)
            if label in HIDDEN and label not in self._indices:
                raise self.refused(label, "'labels' has to name it if it is a tag")
            items = tag_list(values[self.column], self.column)
        text, words = values[self._text], lists.get(self._text)
        places = None if words is not None else word_places(text, self._task.words)
        # An empty list beside a text holds no span; beside words it lacks their tags.
        none_of_spans = places is not None and self._task.marks_entities
        if all(isinstance(item, dict) for item in items) and (items or none_of_spans):
            return self._of_spans(items, text, places)
        if words is None:
            words = [text[start:stop] for start, stop in places or ()]
        return self._of_tags(items, words, text)

    def target(self, label: str) -> list[int]:
        tags = tag_list(label, self.column)
        return self._of_tags(tags, ["?"] * len(tags), "")

    def _of_tags(self, items: Sequence[Any], words: Sequence[str], text: str) -> list[int]:
        import numpy as np

        for item in items:
            if not isinstance(item, str):
                what = "which is not a tag, nor a span"
                raise ValueError(f"'{self.column}' holds {_shown(item)}, {what}")
        if len(items) != len(words):
            spaced = self._task.words != "spaces" and len(text.split()) == len(items)
            raise ValueError(
                f"'{self.column}' holds {count(len(items), 'tag')} for {count(len(words), 'word')}"
                + ' (words = "spaces" takes what spaces divide)' * spaced
            )
        tags = [self._index(item, i, words[i]) for i, item in enumerate(items)]
        if not self._task.marks_entities:
            return tags
        codes = codes_of(np.array(tags, dtype=np.int64), self._task.scheme)
        if not self._task.repair:
            self._check_sound(tags, codes, words)
        sound: list[int] = codes.tolist()
        return sound

    def _index(self, item: str, i: int, word: str) -> int:
        tag = canonical_label(item)
        if tag not in self._indices:
            hint = nearest(tag, self._indices)
            raise ValueError(
                f"{self.column}: unknown tag {quoted(tag)} of word {i + 1} '{word:.40}'{hint}"
            )
        return self._indices[tag]

    def _check_sound(self, tags: Sequence[int], codes: Array, words: Sequence[str]) -> None:
        """Refuse tags that are not those of their entities, naming the first."""
        for i, sound in enumerate(tags_of(codes, self._task.scheme).tolist()):
            if sound != tags[i]:
                tag, wanted = self._task.labels[tags[i]], self._task.labels[sound]
                before = f" after '{self._task.labels[tags[i - 1]]}'" if i else ""
                raise ValueError(
                    f"{self.column}: word {i + 1} '{words[i]:.40}' has tag '{tag}'{before}, where"
                    f" scheme '{self._task.scheme}' has '{wanted}' (repair = true would read that)"
                )

    def _of_spans(
        self, items: Sequence[Mapping[str, Any]], text: str, places: Sequence[Place] | None
    ) -> list[int]:
        if places is None:
            raise ValueError(f"'{self.column}' holds spans of a text, but '{self._text}' a list")
        if not self._task.marks_entities:
            raise ValueError(
                f"'{self.column}' holds spans, but scheme 'plain' has none; scheme = \"bio\" takes"
                " labels for their types"
            )
        spans = [self._span(item) for item in items]
        try:
            return codes_of_spans(text, places, spans, self._task.types)
        except ValueError as error:
            raise ValueError(f"{self.column}: {error}") from None

    def _span(self, item: Mapping[str, Any]) -> Span:
        span = _read_span(item, self.column)
        if span.type not in self._task.types:
            hint = nearest(span.type, self._task.types)
            raise ValueError(f"{self.column}: unknown label {quoted(span.type)} of a span{hint}")
        return span


def tag_list(cell: str | Sequence[Any], column: str) -> Sequence[Any]:
    """Return what a list holds, or a JSON list in a text, or a text's tags, divided by spaces.

    Raises:
        ValueError: it begins as a JSON list, and is none.

    Example:
        >>> tag_list("O B-x", "tags"), tag_list('["O", "B-x"]', "tags")
        (['O', 'B-x'], ['O', 'B-x'])
    """
    from accord.data.values import list_of

    listed = list_of(cell, column)
    return cell.split() if isinstance(cell, str) and listed is None else listed or ()


def _read_span(item: Mapping[str, Any], column: str) -> Span:
    """Return a span from what a file has of it.

    Raises:
        ValueError: it lacks a key, or has something else there.
    """
    try:
        start, stop = (int(str(item[key])) for key in ("start", "end"))
        if isinstance(item["label"], str):
            return Span(start, stop, canonical_label(item["label"]))
    except (KeyError, ValueError):
        pass
    raise ValueError(f"'{column}' holds {_shown(item)}, where {_A_SPAN}")


_A_SPAN = "a span has whole numbers 'start' and 'end', and a 'label'"


def _shown(item: Any) -> str:
    """Return what a list holds, as messages show it."""
    from accord.data.values import list_text

    return f"{list_text(item):.60}"


def scheme_and_labels(
    name: str, plan: TaskPlan, training: TrainingLabels
) -> tuple[Scheme, tuple[str, ...]]:
    """Return the config's scheme and tags, else those of the training file; a type of entities has
    all tags of its scheme.

    Raises:
        ConfigError: if they can't be told, or go together with nothing.
    """
    if plan.labels is None:
        training.require("labels")
        spans, counts = _found(name, plan, training)
    else:
        spans = _are_types(plan)
        counts = Counter(label for label in plan.labels if label != OUTSIDE or not spans)
    scheme = plan.options.get("scheme") or ("bio" if spans else scheme_of(counts))
    names = sort_labels(counts) if plan.labels is None else [*counts]
    if scheme is None:
        raise ConfigError(
            f"tasks.{name}.scheme: tags like '{_odd(names)}' mark entities by no scheme that is"
            " known (bio, iobes); 'plain' evaluates each word by itself"
        )
    return scheme, _ordered(name, names, scheme, spans)


def _are_types(plan: TaskPlan) -> bool:
    """Whether the config's labels are types of entities: its scheme is one of them, and no label is
    such a tag."""
    named = [label for label in plan.labels or () if label != OUTSIDE]
    told = plan.options.get("scheme") in LETTERS
    return told and bool(named) and all(type_of(label, "iobes") is None for label in named)


def _found(name: str, plan: TaskPlan, training: TrainingLabels) -> tuple[bool, Counter[str]]:
    """Return whether the training file has spans, and how many of the types or tags it has."""
    tags, types = Counter[str](), Counter[str]()
    for cell in training.cells():
        try:
            items = tag_list(cell, plan.label)
        except ValueError:
            continue  # the row is faulted, with its line, when the file is read in full
        for item in items:
            seen, label = (types, item.get("label")) if isinstance(item, dict) else (tags, item)
            if isinstance(label, str) and (named := canonical_label(label)):
                seen[named] += 1
        refuse_too_many(name, plan, training, len(tags) + len(types), "tags")
    spans = len(types) > len(tags)
    if not types and not tags:
        raise ConfigError(f"tasks.{name}.label: column '{plan.label}' of {training} holds no tag")
    if any(type_of(tag, "iobes") for tag in tags):  # beside these a bare letter is a slip
        tags = Counter({tag: n for tag, n in tags.items() if type_of(tag, "iobes") != ""})
    return spans, types if spans else tags


def _ordered(name: str, names: Sequence[str], scheme: Scheme, spans: bool) -> tuple[str, ...]:
    """Return a scheme's tags of all types, or plain tags with 'O' first.

    Raises:
        ConfigError: there are no two of them.
    """
    if scheme == "plain":
        if spans:
            raise ConfigError(f"tasks.{name}.scheme: spans are entities; 'plain' has none")
        labels = tuple(sorted(names, key=lambda tag: tag != OUTSIDE))
        if len(labels) < 2:
            raise ConfigError(
                f"tasks.{name}.label: the one tag is '{labels[0]}'; it takes two or more"
            )
        return labels
    types = list(dict.fromkeys(names if spans else (type_of(tag, scheme) for tag in names)))
    known = [each for each in types if each is not None]
    if not known:
        raise ConfigError(
            f"tasks.{name}.labels: no tag of scheme '{scheme}' marks an entity: {', '.join(names)}"
        )
    return tags_of_types(known, scheme)


def _odd(names: Sequence[str]) -> str:
    """Return the first tag that begins as none of a scheme's."""
    known = {letter for letters in LETTERS.values() for letter in letters}
    return next(name for name in names if name != OUTSIDE and name[0] not in known)
