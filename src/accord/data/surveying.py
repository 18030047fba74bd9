"""What a label column holds in train and dev: classes or numbers, and what stands for no label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from math import inf
from typing import Any

from accord.data.files import DataFiles
from accord.data.labels import (
    HIDDEN,
    MOST_LABELS,
    SEPARATORS,
    decimal_comma,
    is_blank,
    joining,
    parse_number,
    sort_labels,
    without_label,
)
from accord.data.reading import FilesReader
from accord.spelling import canonical_label

MOST_CLASSES = 20
_SHARE_OF_A_CLASS = 0.1
"""A label such as -1 that a larger share of the training rows has is taken for a class."""


class LabelSurvey:
    """What the label column of a task's files holds.

    Attributes:
        labels: the classes, as many as there may be and one more.
        names: of the classes in their order, where the files themselves name them; mostly none.
        missing: what stands for no label.
        reasons: why, one line each.
        whole: whether all are whole numbers.
        lowest: of the numbers; infinite if there are none.
        highest: of the numbers.
        lists: whether they are those of lists.
        comma: a number with a decimal comma, if all that are no numbers are such; else empty.
    """

    def __init__(self, files: Mapping[str, DataFiles], column: str) -> None:
        names = FilesReader(files["train"]).class_names(column)
        self.names = tuple(map(canonical_label, names)) if len(names) > 1 else ()
        self.labels: set[str] = set()
        self.missing: list[str] = []
        self.reasons: list[str] = []
        self.lowest, self.highest = inf, -inf
        self.comma = ""
        self.lists = False
        self._numeric = self.integral = True
        train, other = Counter[str](), Counter[str]()  # of what may stand for no label
        rows = 0
        for split, label in _labels(files, column):
            rows += split == "train"
            if isinstance(label, list):
                self.lists = True
                for each in label:
                    self._add(canonical_label(str(each)))
            elif label in HIDDEN or is_blank(label, among_values=True):
                (train if split == "train" else other)[label] += 1
            else:
                self._add(label)
        self._evaluate(train, other, rows)

    @property
    def classes(self) -> bool:
        """Whether the values look like classes: names, or few whole numbers."""
        few = self.integral and len(self.labels) <= MOST_CLASSES
        return bool(self.names) or not self._numeric or few

    @property
    def flags(self) -> bool:
        """Whether every row has a 0 or a 1, false or true."""
        return self.labels in ({"0", "1"}, {"false", "true"}) and not self.missing

    @property
    def separator(self) -> str:
        """What seems to join several labels; '' where each is one."""
        return "" if self.names else joining(self.labels, SEPARATORS, least=0.8)

    @property
    def kind(self) -> str:
        """The kind of task that such labels are of."""
        return "classification" if self.classes else "regression"

    @property
    def in_order(self) -> tuple[str, ...]:
        """The classes as the files order them, else sorted."""
        return self.names or tuple(sort_labels(self.labels))

    @property
    def kind_reason(self) -> str:
        """Why they are classes or numbers."""
        if not self.classes:
            what = "many different values" if self.integral else "decimals"
            return f"holds numbers with {what}"
        values = "whole numbers" if self._numeric else "names"
        return f"holds {len(self.labels)} different {values}"

    def _add(self, label: str) -> None:
        if len(self.labels) <= MOST_LABELS:
            self.labels.add(label)
        try:
            number = parse_number(label)
        except ValueError:
            commas_alone = decimal_comma(label) and (self._numeric or bool(self.comma))
            self.comma = (self.comma or label) if commas_alone else ""
            self._numeric = False
            return
        self.integral = self.integral and number.is_integer()
        self.lowest, self.highest = min(self.lowest, number), max(self.highest, number)

    def _evaluate(self, train: Counter[str], other: Counter[str], rows: int) -> None:
        """Take each of what may stand for no label for that, or for a class or number."""
        # Of numbers past the most that are kept, the lowest says whether any is negative.
        lowest = {str(self.lowest)} if self.lowest < 0 else set()
        none = without_label({*self.labels, *lowest, *train, *other})
        for label in sort_labels({*train, *other}):
            share = train[label] / max(1, rows)
            common = label in HIDDEN and not self.names and share > _SHARE_OF_A_CLASS
            if label in none and not common:
                self.missing.append(label)
                self.reasons.append(_why_missing(label, train[label] + other[label]))
                continue
            self._add(label)
            if label in none:
                self.reasons.append(
                    f"'{label}' is taken for a label, as {share:.0%} of the training rows have it;"
                    f' where it means none, missing = ["{label}"] leaves them out'
                )


def _why_missing(label: str, rows: int) -> str:
    have = f"{rows:,} rows have" if rows > 1 else "1 row has"
    if label in HIDDEN:
        return f"{have} '{label}', which means no label in many data sets: left out (missing)"
    what = f"'{label}' for a label" if label else "no label"
    return f"{have} {what}: left out (missing)"


def _labels(files: Mapping[str, DataFiles], column: str) -> Iterator[tuple[str, str | list[Any]]]:
    """Yield the split and the label, canonically spelt or a list, of each row of train and dev."""
    for split in ("train", "dev"):
        reader = FilesReader(files[split]) if split in files else None
        if reader is not None and column in reader.columns:
            for row in reader.rows([column]):
                if row.values is not None:
                    if column in row.lists:
                        yield split, row.lists[column]
                    else:
                        yield split, canonical_label(row.values[column])
