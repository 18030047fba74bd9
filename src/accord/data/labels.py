"""What a label's text means to a task: a class, a number, or that there is no label.

Three kinds of value are no label. A blank one: a null or NaN of a typed file is blank, and so is
`nan` as a program wrote it; `NA`, `None` and the like are among numbers or booleans, while among
names they may be a class. And what many published sets write where a label is hidden, unless it
fits the others: -1 is a class beside 1 alone or -2, "-" beside "+". Whatever `labels` names is a
class. The task's `missing` names what rows are left out for; any other row without a label can't
be used.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from accord.data.plan import TaskPlan
from accord.spelling import canonical_label

MOST_LABELS = 1_000
"""Of a column that a person doesn't name the classes of."""

MOST_SLIPS = 0.1
"""Share of a training file's labels that may be slips: the others say what all of them are to be,
and `accord check` names the slips' rows."""

HIDDEN = ("-1", "-100", "-", "?")
"""Labels that stand for a hidden one in many published sets."""
SEPARATORS = ("|", ";", ",")
"""By which several labels may be joined."""
NO_LISTS: Mapping[str, Sequence[Any]] = {}
_WRITTEN_NULLS = ("", "nan", "NaN", "<NA>", "NaT", "#N/A")
_NULLS_AMONG_VALUES = ("nan", "na", "n/a", "null", "none")  # in any case


class NoLabelError(ValueError):
    """A row has no label.

    Args:
        message: says so.
        label: what `missing` would have to name for the row to be left out.
    """

    def __init__(self, message: str, label: str) -> None:
        super().__init__(message)
        self.label = label


def parse_number(text: str) -> float:
    """Return a finite number.

    Raises:
        ValueError: the text is not a finite number.
    """
    try:
        # Python reads 1_0 as ten; in a data file it is a slip.
        number = float(text if "_" not in text else "_")
    except ValueError:
        comma = " (a decimal comma? numbers take a point)" if decimal_comma(text) else ""
        raise ValueError(f"'{text.strip()}' is not a number{comma}") from None
    if not math.isfinite(number):
        raise ValueError(f"'{text.strip()}' is not a finite number")
    return number


def is_number(text: str) -> bool:
    """Return whether a text is a finite number."""
    return _number(text) is not None


def decimal_comma(text: str) -> bool:
    """Return whether a text is a number except for its decimal comma.

    Example:
        >>> decimal_comma(" 3,5"), decimal_comma("1,2,3"), decimal_comma("3.5")
        (True, False, False)
    """
    return re.fullmatch(r"\s*[+-]?\d*,\d+\s*", text) is not None


def is_blank(label: str, among_values: bool) -> bool:
    """Whether a label, in its canonical spelling, is a missing value.

    Args:
        label: of a row.
        among_values: whether the other labels are numbers or booleans.
    """
    return label in _WRITTEN_NULLS or (among_values and label.lower() in _NULLS_AMONG_VALUES)


def without_label(labels: Collection[str]) -> set[str]:
    """Return which of a column's labels, in their canonical spelling, stand for none.

    Example:
        >>> sorted(without_label({"0", "1", "-1"})), without_label({"1", "-1"})
        (['-1'], set())
        >>> without_label({"1", "2", "NA"}), without_label({"DE", "NA"})
        ({'NA'}, set())
    """
    others = {label for label in labels if label not in HIDDEN and not is_blank(label, True)}
    values = are_values(others)
    hidden = {label for label in labels if label in HIDDEN and not _fits(label, others)}
    return hidden | {label for label in labels if is_blank(label, values)}


def are_values(labels: Collection[str]) -> bool:
    """Whether labels are numbers or booleans, rather than names."""
    return bool(labels) and all(label in ("true", "false") or is_number(label) for label in labels)


def _fits(label: str, others: Collection[str]) -> bool:
    """Whether one of `HIDDEN` is a label like the others."""
    if not others:
        return True
    if label in ("-", "?"):
        return any(not any(map(str.isalnum, other)) for other in others)
    negative = any((_number(other) or 0) < 0 for other in others)
    return negative or set(others) == {label.lstrip("-")}


def _number(label: str) -> float | None:
    try:
        return parse_number(label)
    except ValueError:
        return None


class LabelParser(ABC):
    """Turns what a row has for a label into a target; a kind of task has its own.

    Args:
        plan: of the task: which column, and what `missing` names.
        among_values: whether the other labels are numbers or booleans.
    """

    def __init__(self, plan: TaskPlan, *, among_values: bool) -> None:
        self.column = plan.label
        self._missing, self._among_values = plan.missing, among_values

    def of_row(
        self, values: Mapping[str, str], lists: Mapping[str, Sequence[Any]] = NO_LISTS
    ) -> Any:
        """Return the target of a row.

        Args:
            values: the texts of its cells, by column.
            lists: those cells that the file has as lists, as `Row` has them.

        Raises:
            NoLabelError: the row has no label.
            ValueError: it has none that the task allows.
        """
        if self.column in lists:
            raise ValueError(f"'{self.column}' holds a list, not one label")
        return self(values[self.column])

    def leaves_out(
        self, values: Mapping[str, str], lists: Mapping[str, Sequence[Any]] = NO_LISTS
    ) -> bool:
        """Whether `missing` names what a row, as `of_row` takes it, has in place of a label."""
        return self.is_missing(values[self.column])

    def left_out(self, target: Any) -> str:
        """Return what a row with such a target has, for which it is left out; mostly nothing."""
        return ""

    def check(self, label: str, column: str) -> object:
        """Check the label of one of the rows that a kind gathers into one.

        Raises:
            ValueError: it is none that the task allows.
        """
        raise NotImplementedError

    def is_missing(self, text: str) -> bool:
        """Whether `missing` names what a row has in place of a label."""
        label = canonical_label(text)
        return label in self._missing or ("" in self._missing and self._is_blank(label))

    def __call__(self, text: str) -> Any:
        """Return the target that a label's text stands for.

        Raises:
            NoLabelError: the text stands for no label.
            ValueError: it is none that the task allows.
        """
        label = canonical_label(text)
        if self._is_blank(label):
            raise self.blank(label)
        return self.target(label)

    def names(self, label: str) -> bool:
        """Whether the task names a label, canonically spelt: it is no missing value then."""
        return False

    @abstractmethod
    def target(self, label: str) -> Any:
        """Return the target of a label in its canonical spelling that isn't blank.

        Raises:
            NoLabelError: it stands for a hidden one.
            ValueError: it is none that the task allows.
        """

    def blank(self, label: str) -> NoLabelError:
        """Return the fault of a label that is a missing value."""
        what = f"is '{label}': no label" if label else "is empty: no label"
        return NoLabelError(f"'{self.column}' {what}", "")

    def refused(self, label: str, otherwise: str) -> NoLabelError:
        """Return the fault of a label that many data sets use for none, and its cure."""
        message = f"{self.column}: '{label}' stands for a hidden label in many data sets"
        return NoLabelError(f"{message}; {otherwise}", label)

    def _is_blank(self, label: str) -> bool:
        return not self.names(label) and is_blank(label, self._among_values)


def sort_labels(labels: Iterable[str]) -> list[str]:
    """Return labels in numerical order if all are numbers, else in alphabetical order.

    Example:
        >>> sort_labels(["10", "9"]), sort_labels(["b", "a", "1"])
        (['9', '10'], ['1', 'a', 'b'])
    """
    names = list(labels)
    try:
        return sorted(names, key=lambda name: (parse_number(name), name))
    except ValueError:
        return sorted(names)


def joining(labels: Collection[str], separators: Iterable[str], least: float) -> str:
    """Return by what some labels seem to be several that are joined; '' if by nothing.

    Args:
        labels: of a column.
        separators: that it may be.
        least: share of the labels that hold it of which every part has to stand in others too, or
            alone; for 0 one part of one label is enough.

    Example:
        >>> joining(["joy|fear", "joy", "fear"], "|;", least=1.0)
        '|'
        >>> joining(["Lyon, France", "Paris, France"], ",", least=0.5)
        ''
    """
    for separator in separators:
        joined = [label for label in labels if separator in label]
        if least and all(map(decimal_comma, joined)):
            continue
        parts = [{canonical_label(part) for part in label.split(separator)} for label in joined]
        times = Counter(part for each in parts for part in each) + Counter(labels)
        all_stand_elsewhere = [all(part and times[part] > 1 for part in each) for each in parts]
        if least and sum(all_stand_elsewhere) >= least * len(parts):
            return separator
        some = any("" not in each and any(times[part] > 1 for part in each) for each in parts)
        if some and not least:
            return separator
    return ""


def missing_key(labels: Iterable[str]) -> str:
    """Return the line of a config that leaves rows out which have one of these for a label."""
    return f"missing = {json.dumps(list(labels), ensure_ascii=False)}"


def quoted(label: str) -> str:
    r"""Return a label in quotes, escaped if it may look like another: by spaces or composition.

    Example:
        >>> print(quoted("café"), quoted("cafe\u0301"), quoted("a\u00a0b"))
        'café' 'cafe\u0301' 'a\xa0b'
    """
    plain = label.isprintable() and unicodedata.is_normalized("NFC", label)
    return f"'{label}'" if plain else ascii(label)
