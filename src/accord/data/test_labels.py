"""Whether a test file has labels that can be evaluated by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from accord.config.tasks import TaskConfig
from accord.data.files import DataFiles
from accord.data.labels import NoLabelError, missing_key
from accord.data.reading import open_rows
from accord.kinds import labelled_kind
from accord.tasks import Task

Place = tuple[int, int]
"""Where a row is: the number of its file, counted from 0, and the line."""
Values = dict[str, str]
"""What a row has for a label, by column."""


@dataclass(frozen=True)
class FileLabels:
    """What a test file says of its rows' labels.

    Attributes:
        rows: those that have a label, int64 [n]: all but those that `missing` leaves out.
        targets: of these, as the task's kind has them, [n, ...]; None where the rows have no
            labels, or none that can be used.
        reason: why those that are there are not used; empty where there are none, or they are.
    """

    rows: npt.NDArray[np.int64] = field(default_factory=lambda: np.array([], dtype=np.int64))
    targets: npt.NDArray[Any] | None = None
    reason: str = ""


def read_test_labels(
    files: DataFiles, config: TaskConfig, task: Task, places: Sequence[Place]
) -> FileLabels:
    """Read the labels of a test split's rows.

    They are used where every row has one that the task allows, but for those that `missing`
    leaves out, and at least two differ. A file without labels may have a column all the same that
    is empty, or holds what stands for a hidden label, such as -1.

    Args:
        files: the test split's.
        config: the task's columns.
        task: the resolved task.
        places: of the rows that are predicted: the number of the file, and the line.

    Raises:
        DataError: if the file can't be used at all.
    """
    reader = open_rows(files)
    columns = config.label_columns
    if not set(columns) <= set(reader.columns):
        return FileLabels()
    for column in columns:
        if reader.columns.count(column) > 1:
            return FileLabels(reason=f"column '{column}' stands in the header more than once")
    wanted = set(places)
    found: dict[Place, Values] = {}
    for row in reader.rows(columns):
        if (place := (row.file, row.line)) in wanted and row.values is not None:
            found[place] = {name: row.values[name].strip() for name in columns}
    none = dict.fromkeys(columns, "")
    named = [_named(files, place) for place in places]
    return _parsed([found.get(place, none) for place in places], named, config, task)


def _named(files: DataFiles, place: Place) -> str:
    number, line = place
    return f"line {line}" if len(files.paths) == 1 else f"{files.paths[number]}:{line}"


def _parsed(values: list[Values], places: list[str], config: TaskConfig, task: Task) -> FileLabels:
    kind = labelled_kind(task)
    parser = kind.parser(config, task)
    rows, targets = [], []
    blank, fault = [], ""
    for row, (place, own) in enumerate(zip(places, values, strict=True)):
        if parser.leaves_out(own):
            continue
        try:
            targets.append(parser.of_row(own))
            rows.append(row)
        except NoLabelError as error:
            blank.append((place, error.label))
        except ValueError as error:
            fault = fault or f"{place}: {error}"
    if not rows and not fault:
        return FileLabels()
    if fault:
        return FileLabels(reason=fault)
    if blank:
        place, label = blank[0]
        return FileLabels(
            reason=f"{len(blank)} of {len(values)} rows have no label, the first in {place}"
            f" ({missing_key([label])} would leave such rows out)"
        )
    if all(target == targets[0] for target in targets):
        shown = ", ".join(values[rows[0]].values())
        return FileLabels(reason=f"every row's label is '{shown}'")
    return FileLabels(np.array(rows), kind.target_form(task).array(targets))
