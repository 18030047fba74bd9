"""Whether a test file has labels that can be judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accord.config.tasks import TaskConfig
from accord.data.files import DataFiles
from accord.data.labels import LabelParser, NoLabelError, missing_key
from accord.data.reading import open_rows
from accord.tasks import Task

Place = tuple[int, int]
"""Where a row is: the number of its file, counted from 0, and the line."""


@dataclass(frozen=True)
class FileLabels:
    """What a test file says of its rows' labels.

    Attributes:
        values: class indices or values in the task's units, float64 [rows], NaN where `missing`
            names what a row has; None where the rows have no labels, or none that can be used.
        reason: why those that are there are not used; empty where there are none, or they are.
    """

    values: npt.NDArray[np.float64] | None = None
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
    if config.label not in reader.columns:
        return FileLabels()
    if reader.columns.count(config.label) > 1:
        return FileLabels(reason=f"column '{config.label}' stands in the header more than once")
    wanted = set(places)
    texts: dict[Place, str] = {}
    for row in reader.rows([config.label]):
        if (place := (row.file, row.line)) in wanted:
            texts[place] = "" if row.values is None else row.values[config.label].strip()
    named = [_named(files, place) for place in places]
    return _parsed([texts.get(place, "") for place in places], named, config, task)


def _named(files: DataFiles, place: Place) -> str:
    number, line = place
    return f"line {line}" if len(files.paths) == 1 else f"{files.paths[number]}:{line}"


def _parsed(texts: list[str], places: list[str], config: TaskConfig, task: Task) -> FileLabels:
    parser = LabelParser(config, task)
    values = np.full(len(texts), np.nan)
    blank, fault = [], ""
    for row, (place, text) in enumerate(zip(places, texts, strict=True)):
        if parser.is_missing(text):
            continue
        try:
            values[row] = parser(text)
        except NoLabelError as error:
            blank.append((place, error.label))
        except ValueError as error:
            fault = fault or f"{place}: {error}"
    labelled = ~np.isnan(values)
    if not labelled.any() and not fault:
        return FileLabels()
    if fault:
        return FileLabels(reason=fault)
    if blank:
        place, label = blank[0]
        return FileLabels(
            reason=f"{len(blank)} of {len(texts)} rows have no label, the first in {place}"
            f" ({missing_key([label])} would leave such rows out)"
        )
    if len(np.unique(values[labelled])) == 1:
        return FileLabels(reason=f"every row's label is '{texts[int(labelled.argmax())]}'")
    return FileLabels(values)
