"""Labels of which a row has any number, as files have them, and those that a training file has."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from accord.data.labels import (
    HIDDEN,
    NO_LISTS,
    SEPARATORS,
    LabelParser,
    are_values,
    is_blank,
    joining,
    quoted,
    sort_labels,
    without_label,
)
from accord.errors import ConfigError, nearest
from accord.kinds._class_names import refuse_too_many
from accord.spelling import canonical_label

if TYPE_CHECKING:
    from accord.data.plan import TaskPlan
    from accord.kinds._context import TrainingLabels
    from accord.kinds.multi_label import MultiLabelTask


def name_faults(key: str, names: Sequence[str], separator: str) -> Iterator[str]:
    """Yield which names can't be told apart where they are joined."""
    for name in names:
        if separator in name:
            yield (
                f"{key}: '{name}' holds the separator '{separator}'; set separator to what stands"
                " in no name"
            )


def label_names(cell: str | Sequence[Any], separator: str, column: str) -> list[str]:
    """Return the names in a cell, canonically spelt: a list, a JSON list, or joined by a separator.

    Args:
        cell: a text or, of a typed file, a list.
        separator: what stands between names in a text.
        column: as messages call it.

    Raises:
        ValueError: it is not a list of names, or a name is empty, holds the separator or stands
            there twice.

    Example:
        >>> [label_names(cell, "|", "y") for cell in ("joy| fear", '["joy", "fear"]', [])]
        [['joy', 'fear'], ['joy', 'fear'], []]
    """
    from accord.data.values import list_of, list_text

    items = list_of(cell, column)
    if items is None:
        items = cell.split(separator)  # type: ignore[union-attr]
    shown = quoted(cell if isinstance(cell, str) else list_text(cell))
    if not all(isinstance(item, str) for item in items):
        raise ValueError(f"{column}: {shown} is not a list of names")
    names = [canonical_label(item) for item in items]
    if "" in names:
        raise ValueError(f"{column}: {shown} holds an empty name")
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{column}: label {quoted(name)} stands there twice")
    for fault in name_faults(column, names, separator):  # of lists alone
        raise ValueError(fault)
    return names


class LabelSetParser(LabelParser):
    """Turns a row's labels into a 0 or 1 for each of the task's."""

    def __init__(self, plan: TaskPlan, task: MultiLabelTask) -> None:
        super().__init__(plan, among_values=are_values(task.labels))
        self._task, self._columns = task, plan.label_columns
        self._indices = {label: i for i, label in enumerate(task.labels)}

    def of_row(
        self, values: Mapping[str, str], lists: Mapping[str, Sequence[Any]] = NO_LISTS
    ) -> list[int]:
        if self._task.columns:
            return self._of_columns([values[column] for column in self._columns])
        if self.column in lists:
            return self._set(lists[self.column])
        labels: list[int] = self(values[self.column])
        return labels

    def leaves_out(
        self, values: Mapping[str, str], lists: Mapping[str, Sequence[Any]] = NO_LISTS
    ) -> bool:
        return all(
            column not in lists and self.is_missing(values[column]) for column in self._columns
        )

    def is_missing(self, text: str) -> bool:
        return not self._is_empty(canonical_label(text)) and super().is_missing(text)

    def names(self, label: str) -> bool:
        return label in self._indices or self._is_empty(label)

    def target(self, label: str) -> list[int]:
        return [0] * len(self._indices) if self._is_empty(label) else self._set(label)

    def _is_empty(self, label: str) -> bool:
        return self._task.empty is not None and label == self._task.empty

    def _set(self, cell: str | Sequence[Any]) -> list[int]:
        names = label_names(cell, self._task.separator, self.column)
        if any(map(self._is_empty, names)):
            if len(names) > 1:
                shown = quoted(self._task.empty or "")
                raise ValueError(
                    f"{self.column}: {shown} means no label at all, but others stand beside it"
                )
            return [0] * len(self._indices)
        unknown = [name for name in names if name not in self._indices]
        if unknown and unknown == names and len(names) == 1 and unknown[0] in HIDDEN:
            raise self.refused(unknown[0], "'labels' has to name it if it is a class")
        if unknown:
            hint = self._joined(unknown[0]) or nearest(unknown[0], self._indices)
            raise ValueError(f"{self.column}: unknown label {quoted(unknown[0])}{hint}")
        return [int(label in names) for label in self._indices]

    def _joined(self, name: str) -> str:
        """Return that a name is several labels, joined by something else; or ''."""
        if other := _joined_by(name, self._indices):
            return (
                f"; it is labels joined by '{other}', but separator is '{self._task.separator}'; if"
                " it is one label, 'labels' has to name it"
            )
        return ""

    def _of_columns(self, cells: Sequence[str]) -> list[int]:
        labels = [canonical_label(cell) for cell in cells]
        if all(is_blank(label, among_values=True) for label in labels):
            raise self.blank(labels[0])
        if labels[0] in HIDDEN and set(labels) == {labels[0]}:
            raise self.refused(labels[0], "each cell has to be 0 or 1")
        for column, label in zip(self._columns, labels, strict=True):
            if label not in _ZERO_OR_ONE:
                raise ValueError(f"'{column}' is {quoted(label)}, neither 0 nor 1")
        return [_ZERO_OR_ONE[label] for label in labels]


def _joined_by(name: str, labels: Collection[str]) -> str:
    """Return by what a name is several labels, each of some; or ''."""
    for separator in SEPARATORS:
        parts = [canonical_label(part) for part in name.split(separator)]
        if len(parts) > 1 and all(part in labels for part in parts):
            return separator
    return ""


_ZERO_OR_ONE = {"0": 0, "1": 1, "false": 0, "true": 1}


def found_labels(
    name: str, plan: TaskPlan, training: TrainingLabels, separator: str, empty: str | None
) -> tuple[str, ...]:
    """Return the labels of the training file, in numerical order if all are numbers, else sorted.

    Where the separator joins some, a name that is several of them joined by another is none: its
    row is refused.

    Raises:
        ConfigError: if there are none or too many, or they seem to be joined by another separator.
    """
    training.require("labels")
    seen, joined = set[str](), False
    for cell in training.cells():
        if cell == empty:
            continue
        try:
            names = label_names(cell, separator, plan.label)
        except ValueError:
            continue  # the row is faulted, with its line, when the file is read in full
        seen.update(names)
        joined = joined or len(names) > 1
        refuse_too_many(name, plan, training, len(seen))
    labels = sort_labels(seen - without_label(seen) - {empty})
    if not labels:
        raise ConfigError(f"tasks.{name}.label: column '{plan.label}' of {training} holds no label")
    others = [other for other in SEPARATORS if other != separator]
    if not joined and (other := joining(labels, others, least=0)):
        example = next(label for label in labels if other in label)
        raise ConfigError(
            f"tasks.{name}.separator: no cell of column '{plan.label}' of {training} holds"
            f" '{separator}', but {quoted(example)} looks like labels joined by '{other}': name"
            f" that, or the labels in tasks.{name}.labels"
        )
    return tuple(label for label in labels if not (joined and _joined_by(label, labels)))
