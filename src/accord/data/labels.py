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
from collections.abc import Collection, Iterable

from accord.config.tasks import TaskConfig
from accord.errors import nearest
from accord.tasks import Task, canonical_label

HIDDEN = ("-1", "-100", "-", "?")
"""Labels that stand for a hidden one in many published sets."""
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
        ValueError: the text is no number, or no finite one.
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


def decimal_comma(text: str) -> bool:
    """Return whether a text is a number but for its decimal comma.

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
    return bool(labels) and all(
        label in ("true", "false") or _number(label) is not None for label in labels
    )


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


class LabelParser:
    """Turns the texts of a task's label column into class indices or numbers."""

    def __init__(self, config: TaskConfig, task: Task) -> None:
        self._column, self._task = config.label, task
        self._missing = config.missing_labels
        self._indices = {canonical_label(own): float(i) for i, own in enumerate(task.labels)}
        self._range = config.range
        self._values = task.is_regression or are_values(task.labels)
        self._hidden = without_label({*task.labels, *HIDDEN})

    def is_missing(self, text: str) -> bool:
        """Whether `missing` names what a row has in place of a label."""
        label = canonical_label(text)
        blank = label not in self._indices and is_blank(label, self._values)
        return label in self._missing or ("" in self._missing and blank)

    def __call__(self, text: str) -> float:
        """Return a class's index, or a target in the task's own units.

        Raises:
            NoLabelError: the text stands for no label.
            ValueError: it is none of the task's labels, or no number in its range.
        """
        label = canonical_label(text)
        if label in self._indices:
            return self._indices[label]
        as_class = "'labels' has to name it if it is a class"
        if is_blank(label, self._values):
            unless = f"; {as_class}" * self._task.is_classification
            what = f"is '{label}': no label{unless}" if label else "is empty: no label"
            raise NoLabelError(f"'{self._column}' {what}", "")
        if self._task.is_regression:
            return self._target(label)
        if label in self._hidden:
            raise self._refused(label, as_class)
        raise ValueError(
            f"{self._column}: unknown label {quoted(label)}{nearest(label, self._task.labels)}"
        )

    def _target(self, label: str) -> float:
        lowest, highest = self._task.range
        if label in ("-", "?") or (self._range is None and label in HIDDEN and lowest >= 0):
            raise self._refused(label, "'range' has to include it if it is a target")
        try:
            number = parse_number(label)
        except ValueError as error:
            raise ValueError(f"{self._column}: {error}") from None
        # A range taken from the training file says nothing of what dev may hold.
        if self._range is not None and not lowest <= number <= highest:
            message = f"{self._column}: {number:g} is outside the range {lowest:g} to {highest:g}"
            raise NoLabelError(message, label) if label in HIDDEN else ValueError(message)
        return number

    def _refused(self, label: str, otherwise: str) -> NoLabelError:
        message = f"{self._column}: '{label}' stands for a hidden label in many data sets"
        return NoLabelError(f"{message}; {otherwise}", label)


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
