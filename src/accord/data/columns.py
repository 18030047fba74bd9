"""What each column of a file looks like, and which of them are texts, label and id."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from accord.data.files import DataFiles
from accord.data.header import Doubt, doubt
from accord.data.labels import SEPARATORS, is_blank, is_number, joining
from accord.data.reading import FilesReader
from accord.data.rows import WORDY, Row
from accord.errors import DataError

_PAIRS = (
    ("sentence1", "sentence2"), ("question1", "question2"), ("text1", "text2"),
    ("sentence_1", "sentence_2"), ("text_1", "text_2"), ("sentence_a", "sentence_b"),
    ("text_a", "text_b"), ("premise", "hypothesis"), ("question", "sentence"),
    ("question", "answer"), ("query", "passage"), ("query", "document"), ("s1", "s2"),
)  # fmt: skip
_TEXTS = ("text", "sentence", "review", "content", "comment", "body", "document", "question")
_LABELS = (
    "label", "labels", "gold_label", "class", "category", "target", "sentiment", "similarity",
    "is_duplicate", "score", "rating", "stars", "polarity", "intent", "topic", "y",
)  # fmt: skip
_THE_LABEL = ("label", "labels", "gold_label", "class", "target", "y")  # one of a table
_LABEL_WORDS = {word for name in _LABELS for word in name.split("_")} - {"gold", "is", "y"}
_NO_LABEL_WORDS = {
    "id", "ids", "qid", "guid", "uid", "uuid", "idx", "index", "key", "hash", "user", "users",
    "author", "username", "customer", "annotator", "worker", "date", "time", "datetime",
    "timestamp", "day", "month", "year", "created", "updated", "url", "link", "uri", "source",
    "file", "filename", "path", "split", "fold", "lang", "language", "length", "count", "num",
    "number", "weight", "confidence", "prob", "probability", "group", "session", "thread",
    "page", "line", "row", "version", "lat", "lon", "latitude", "longitude", "price", "unnamed",
}  # fmt: skip
_WORDS = ("tokens", "words")  # of lists
_TAGS = ("tags", "ner_tags")
_IDS = ("id", "guid", "uid", "uuid", "idx", "index")


@dataclass(frozen=True)
class Column:
    """A column in a sample of rows.

    `numeric` says whether every value is a number, `words` is the mean number of words in a
    value, `distinct` the share of different values, `doubt` why its name looks like a value. Where
    values seem to be joined, these are the values.
    `sizes` are those of its lists, row by row; None where a value is none.
    """

    name: str
    numeric: bool
    words: float
    distinct: float
    doubt: Doubt | None = None
    sizes: tuple[int, ...] | None = None

    @property
    def wordy(self) -> bool:
        """Whether the column looks like running text."""
        return not self.numeric and self.words >= WORDY and self.sizes is None


@dataclass(frozen=True)
class Role:
    """Which columns are what, and why."""

    text: tuple[str, ...]
    label: str
    id: str | None
    reasons: list[str]


def read_columns(files: DataFiles, rows: int) -> tuple[list[Column], list[Row]]:
    """Return what the first rows of some files show of their columns, except columns without a name
    of their own; and those rows that can be read.

    Raises:
        DataError: a file can't be read, or there is no row.
    """
    reader = FilesReader(files)
    names = [name for name in reader.columns if name and reader.columns.count(name) == 1]
    sample = [row for row in islice(reader.rows(names), rows) if row.values is not None]
    if not sample:
        raise DataError(f"{files}: no readable row below the header")
    return [_describe(name, sample, reader.columns) for name in names], sample


def check_header(files: DataFiles, columns: Sequence[Column], role: Role | None) -> list[str]:
    """Check that the columns in use have names that look like names.

    Args:
        files: that they are of.
        columns: all of them.
        role: which are used; None where that could not be told.

    Returns:
        What is doubtful.

    Raises:
        DataError: a name looks like a value for sure.
    """
    used = None if role is None else {*role.text, role.label}
    doubts = [
        column.doubt for column in columns if column.doubt and (used is None or column.name in used)
    ]
    for reason in doubts:
        if reason.sure:
            raise DataError(f"{files.paths[0]}:1: {reason}")
    return [f"perhaps {doubt}" for doubt in doubts[:1]]


def find_roles(files: DataFiles, columns: Sequence[Column]) -> Role:
    """Choose the text, label and id columns.

    Raises:
        DataError: no column looks like a text, or none like a label.
    """
    text, text_reason = _find_text(files, columns)
    rest = [column for column in columns if column.name not in text]
    number = id_column(rest)
    rest = [column for column in rest if column.name != number]
    label, label_reason = _find_label(files, rest, tag_columns(columns))
    reasons = [text_reason, label_reason]
    if number is not None:
        reasons.append(f"id '{number}', because of its name, and no value stands twice")
    return Role(text, label, number, reasons)


def _find_text(files: DataFiles, columns: Sequence[Column]) -> tuple[tuple[str, ...], str]:
    lower = {column.name.lower(): column for column in columns if not column.numeric}
    for first, second in _PAIRS:
        if first in lower and second in lower:
            names = (lower[first].name, lower[second].name)
            return names, f"texts '{names[0]}' and '{names[1]}', because of their names"
    known = named_column(columns, _TEXTS, lambda column: not column.numeric)
    wordy = [column for column in columns if column.wordy]
    if known is not None and len(wordy) != 2:
        return (known,), f"text '{known}', because of its name"
    if len(wordy) == 2:
        names = (wordy[0].name, wordy[1].name)
        return names, f"texts '{names[0]}' and '{names[1]}', the columns with running text"
    words = named_column(columns, _WORDS, lambda column: column.sizes is not None)
    if words is not None and not wordy:
        return (words,), f"text '{words}', lists of words by its name"
    candidates = wordy or [
        column for column in columns
        if not column.numeric and column.sizes is None and column.distinct > 0.5
        and column.name.lower() not in _IDS
    ]  # fmt: skip
    if not candidates:
        raise DataError(f"{files}: no column looks like a text; columns: {_list(columns)}")
    best = max(candidates, key=lambda column: column.words)
    return (best.name,), f"text '{best.name}', the column with the longest texts"


def id_column(columns: Sequence[Column]) -> str | None:
    """Return the column of rows' ids, by its name and as no value stands twice."""
    return named_column(columns, _IDS, lambda column: column.distinct == 1)


def tag_columns(columns: Sequence[Column]) -> dict[str, str]:
    """Return the columns that have a tag for each word, and the column of these words."""
    words = named_column(columns, _WORDS, lambda column: column.sizes is not None)
    sizes = {column.name: column.sizes for column in columns if column.sizes is not None}
    return {
        name: words for name in sizes if words and name != words and sizes[name] == sizes[words]
    }


def _find_label(
    files: DataFiles, columns: Sequence[Column], tags: Mapping[str, str]
) -> tuple[str, str]:
    known = named_column(columns, _LABELS)
    if known is not None:
        return known, f"label '{known}', because of its name"
    tagged = [column for column in columns if column.name in tags]
    if tagged:
        best = named_column(tagged, _TAGS) or tagged[-1].name
        return best, f"label '{best}', which has a tag for each word"
    plain = [column for column in columns if column.sizes is None]
    repeated = [column for column in plain if 0 < column.distinct <= 0.5 and not column.wordy]
    candidates = repeated or [column for column in plain if column.numeric and column.distinct < 1]
    if not candidates:
        raise DataError(
            f"{files}: no column looks like a label; name one of {_list(columns)} 'label'"
        )
    rarest = min(candidates, key=lambda column: column.distinct)
    return rarest.name, f"label '{rarest.name}', the column with the fewest different values"


def named_column(
    columns: Iterable[Column],
    names: Sequence[str],
    fits: Callable[[Column], bool] = lambda column: True,
) -> str | None:
    """Return the first of some names, in any case, that a fitting column has; None if none has."""
    lower = {column.name.lower(): column for column in columns if fits(column)}
    return next((lower[name].name for name in names if name in lower), None)


def _describe(name: str, rows: Sequence[Row], names: Sequence[str]) -> Column:
    values = [(row.values or {})[name].strip() for row in rows]
    present = [value for value in values if not is_blank(value, among_values=True)]
    lists = [row.lists[name] for row in rows if name in row.lists]
    sizes = tuple(map(len, lists)) if lists and len(lists) == len(present) else None
    separator = joining(set(present), SEPARATORS, least=0.8)
    if separator:
        present = [part.strip() for value in present for part in value.split(separator)]
    return Column(
        name=name,
        numeric=bool(present) and all(map(is_number, present)),
        words=sum(len(value.split()) for value in present) / max(1, len(present)),
        distinct=len(set(present)) / max(1, len(present)) if present else 0.0,
        doubt=None if lists else doubt(name, values, names),
        sizes=sizes,
    )


def _list(columns: Sequence[Column]) -> str:
    return ", ".join(f"'{column.name}'" for column in columns)


@dataclass(frozen=True)
class Candidates:
    """Columns that may be labels, in the file's order, and why each of the others is left.

    Of those that may be, `named` are those whose names say so.
    """

    labels: list[str]
    named: set[str]
    left: dict[str, str]


def find_labels(columns: Sequence[Column], role: Role) -> Candidates:
    """Look for label columns beside the one that was chosen, by their names and a sample.

    Where that is called the label (`label`, `class`, ...), another has to have a label's name too.
    """
    alone = role.label.lower() in _THE_LABEL
    candidates = Candidates([], set(), {})
    tags = tag_columns(columns)
    for column in columns:
        if column.name in (*role.text, role.id, *tags.values()):
            continue
        words = {word.lower() for word in re.findall(r"[A-Z]*[a-z]+|[A-Z]+", column.name)}
        if column.name.lower() in _LABELS or (words & _LABEL_WORDS and not words & _NO_LABEL_WORDS):
            candidates.named.add(column.name)
            candidates.labels.append(column.name)
        elif column.name in tags:
            candidates.labels.append(column.name)
        elif reason := _no_label(column, words, role.label if alone else ""):
            candidates.left[column.name] = reason
        else:
            candidates.labels.append(column.name)
    return candidates


def _no_label(column: Column, words: set[str], the_label: str) -> str:
    """Return why a column whose name is not a label's is none; empty if it may be one."""
    if words & _NO_LABEL_WORDS:
        return "its name is that of something else"
    if column.sizes is not None:
        return "it holds lists"
    if the_label:
        return f"'{the_label}' is named as the label"
    if column.wordy:
        return "it holds running text"
    return "hardly a value stands twice" if column.distinct > 0.5 and not column.numeric else ""
