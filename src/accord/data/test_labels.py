"""Whether a test file has labels that can be judged by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from accord.config.tasks import TaskConfig
from accord.data.labels import LabelParser, NoLabelError, missing_key
from accord.data.reading import open_rows
from accord.tasks import Task


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
    path: Path, config: TaskConfig, task: Task, lines: npt.NDArray[np.int64]
) -> FileLabels:
    """Read the labels of a test file's rows.

    They are used where every row has one that the task allows, but for those that `missing`
    leaves out, and at least two differ. A file without labels may have a column all the same that
    is empty, or holds what stands for a hidden label, such as -1.

    Args:
        path: the test file.
        config: the task's columns and how its files are read.
        task: the resolved task.
        lines: where the rows that are predicted start, int64 [rows].

    Raises:
        DataError: if the file can't be used at all.
    """
    reader = open_rows(path, delimiter=config.delimiter, quoting=config.quoting)
    if config.label not in reader.columns:
        return FileLabels()
    if reader.columns.count(config.label) > 1:
        return FileLabels(reason=f"column '{config.label}' stands in the header more than once")
    wanted = set(lines.tolist())
    texts: dict[int, str] = {}
    for row in reader.rows([config.label]):
        if row.line in wanted:
            texts[row.line] = "" if row.values is None else row.values[config.label].strip()
    return _parsed([texts.get(line, "") for line in lines.tolist()], lines, config, task)


def _parsed(
    texts: list[str], lines: npt.NDArray[np.int64], config: TaskConfig, task: Task
) -> FileLabels:
    parser = LabelParser(config, task)
    values = np.full(len(texts), np.nan)
    blank, fault = [], ""
    for place, (line, text) in enumerate(zip(lines.tolist(), texts, strict=True)):
        if parser.is_missing(text):
            continue
        try:
            values[place] = parser(text)
        except NoLabelError as error:
            blank.append((line, error.label))
        except ValueError as error:
            fault = fault or f"line {line}: {error}"
    labelled = ~np.isnan(values)
    if not labelled.any() and not fault:
        return FileLabels()
    if fault:
        return FileLabels(reason=fault)
    if blank:
        line, label = blank[0]
        return FileLabels(
            reason=f"{len(blank)} of {len(texts)} rows have no label, the first in line {line}"
            f" ({missing_key([label])} would leave such rows out)"
        )
    if len(np.unique(values[labelled])) == 1:
        return FileLabels(reason=f"every row's label is '{texts[int(labelled.argmax())]}'")
    return FileLabels(values)
