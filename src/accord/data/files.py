"""The files of one split and how they are read, as every reader takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from accord.data.datafiles import find_files, shown
from accord.data.plan import TaskPlan
from accord.data.textfiles import DelimiterName, QuotingName
from accord.errors import ConfigError, DataError
from accord.kinds import get_kind


@dataclass(frozen=True)
class DataFiles:
    """Files whose rows follow one another.

    Attributes:
        paths: at least one.
        delimiter: what separates the columns of delimited files; None: what their headers use.
        quoting: `csv` reads quotes as csv writers make them, `none` as ordinary characters; None
            reads them as `csv`, but refuses a row that other rows seem to stand in.
        encoding: of text files, a name that Python knows; None: UTF-8, or what a byte order mark
            says.
        codes: whether the classes of a Parquet file are read as their numbers, not their names.
    """

    paths: tuple[Path, ...]
    delimiter: DelimiterName | None = None
    quoting: QuotingName | None = None
    encoding: str | None = None
    codes: bool = False

    def __str__(self) -> str:
        return shown([str(path) for path in self.paths])


def files_of(plan: TaskPlan, value: str | Sequence[str]) -> DataFiles:
    """Return the files that a task's `train`, `dev` or `test` names.

    Raises:
        DataError: one is not there, or a folder or pattern holds no such files.
    """
    try:
        paths = find_files(value)
    except ConfigError as error:
        raise DataError(str(error)) from None
    return DataFiles(
        paths, plan.delimiter, plan.quoting, plan.file_encoding,
        codes=get_kind(plan.kind).reads_codes,
    )  # fmt: skip
