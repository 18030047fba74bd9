"""From rows to validated examples of a task; what can't be used says why."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from accord.config.tasks import AnyTaskConfig, TaskConfig
from accord.data.reading import Row, RowReader, open_rows
from accord.errors import DataError, nearest
from accord.tasks import Task, canonical_label


@dataclass(frozen=True)
class Example:
    """One row of a task: its texts, stripped of surrounding white space, and its label.

    `label` is a class's index or a target in the task's own units; None where unlabelled. `group`
    is the value of the task's `group` column; empty where it names none.
    """

    texts: tuple[str, ...]
    label: float | None
    id: str
    line: int
    group: str = ""


@dataclass(frozen=True)
class BadRow:
    """A row that can't be used, and why."""

    path: Path
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}"


def read_examples(
    path: Path, config: AnyTaskConfig, task: Task, *, labelled: bool
) -> Iterator[Example | BadRow]:
    """Yield every row of a file as a valid example, or as a bad row with its reason.

    Args:
        path: the data file.
        config: the task's columns and how the file is read.
        task: the resolved task, with labels or range.
        labelled: whether the label column is read. Without labels an empty text is an example
            too, since it needs a prediction, and an `id` column may be absent.

    Raises:
        DataError: the file or a column can't be used at all.
    """
    parse = label_parser(config, task)
    for number, row in enumerate(_rows(path, config, labelled), 1):
        try:
            yield _example(row, number, config, parse if labelled else None)
        except ValueError as error:
            yield BadRow(path, row.line, str(error))


def read_labels(path: Path, config: TaskConfig) -> Iterator[str]:
    """Yield the label of every row that has its texts and a label, as it is spelt.

    Raises:
        DataError: as `read_examples`.
    """
    for row in _rows(path, config, labelled=True):
        values = row.values
        if values and all(values[name].strip() for name in (*config.text_columns, config.label)):
            yield values[config.label]


def parse_number(text: str) -> float:
    """Return a finite number.

    Raises:
        ValueError: the text is no number, or no finite one.
    """
    try:
        # Python reads 1_0 as ten; in a data file it is a slip.
        number = float(text if "_" not in text else "_")
    except ValueError:
        raise ValueError(f"'{text.strip()}' is not a number") from None
    if not math.isfinite(number):
        raise ValueError(f"'{text.strip()}' is not a finite number")
    return number


def _rows(path: Path, config: AnyTaskConfig, labelled: bool) -> Iterator[Row]:
    reader = open_rows(path, delimiter=config.delimiter, quoting=config.quoting)
    return reader.rows(_columns(reader, config, labelled))


def _columns(reader: RowReader, config: AnyTaskConfig, labelled: bool) -> list[str]:
    columns = [*config.text_columns]
    if labelled:
        columns.append(config.label)
    if config.id is not None and (labelled or config.id in reader.columns):
        columns.append(config.id)
    if config.group is not None and (labelled or not isinstance(config, TaskConfig)):
        columns.append(config.group)
    return list(dict.fromkeys(columns))


def _example(
    row: Row, number: int, config: AnyTaskConfig, parse: Callable[[str], float] | None
) -> Example:
    if row.values is None:
        raise ValueError(row.fault)
    texts = tuple(row.values[name].strip() for name in config.text_columns)
    label = None
    if parse is not None:
        for name, text in zip(config.text_columns, texts, strict=True):
            if not text:
                raise ValueError(f"'{name}' is empty")
        label = parse(row.values[config.label])
    group = row.values.get(config.group or "", "").strip()
    return Example(texts, label, row.values.get(config.id or "", str(number)), row.line, group)


def label_parser(config: AnyTaskConfig, task: Task) -> Callable[[str], float]:
    """Return the function from a label's text to its number; it raises ValueError."""
    column = config.label
    indices = {label: float(index) for index, label in enumerate(task.labels)}

    def parse_class(text: str) -> float:
        label = canonical_label(text)
        if label not in indices:
            raise ValueError(f"{column}: unknown label '{label}'{nearest(label, task.labels)}")
        return indices[label]

    def parse_target(text: str) -> float:
        try:
            number = parse_number(text)
        except ValueError as error:
            raise ValueError(f"{column}: {error}") from None
        # A range taken from the training file says nothing of what dev may hold.
        lowest, highest = task.range
        if config.range is not None and not lowest <= number <= highest:
            raise ValueError(f"{column}: {number:g} is outside the range {lowest:g} to {highest:g}")
        return number

    parse = parse_class if task.is_classification else parse_target

    def parse_present(text: str) -> float:
        if not text.strip():
            raise ValueError(f"'{column}' is empty: no label")
        return parse(text)

    return parse_present


def refuse(bad: BadRow) -> DataError:
    """Return the error that a bad row is under `on_bad_row = "stop"`."""
    return DataError(f'{bad} (on_bad_row = "skip" would leave it out)')
