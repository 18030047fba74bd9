"""What a grid file's `[report]` asks for: which rows stand in its table, beside which figures of
somebody else's, and which of them are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError

from accord.config.base import Name, Section
from accord.config.faults import fault_lines
from accord.errors import ConfigError, nearest
from accord.grids.cells import Cell
from accord.grids.file import Grid, read_table
from accord.report.page import slug

Slug = Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
TAKEN = (
    "answer", "calibration", "confusion", "cosines", "cost", "differences", "errors", "exposure",
    "figures", "groups", "learning", "ledger", "scatter", "unfinished",
)  # fmt: skip
"""How the names of a grid report's other tables and figures begin."""
OVERALL = "overall"
"""Among a submission's columns: the score of all tasks."""


class ContrastSpec(Section):
    """One row minus another, on every task that both have."""

    label: str
    of: str
    against: str | list[str] = Field(description="A row, or rows of different tasks.")


class ReferenceSpec(Section):
    """Figures that stand beside those of the runs."""

    name: str
    file: str = Field(
        description="TOML beside the grid file: [TABLE.ROW] with a figure for each task."
    )


class DurationSpec(Section):
    """A figure of what each row costs and gains over one of them."""

    name: Slug
    title: str
    baseline: str


class SubmissionSpec(Section):
    """A folder of predictions in the course's format: of the best runs of a row."""

    folder: Name
    rows: list[str] = Field(min_length=1, description="Of several, those of the best model.")
    note: str = ""


class ReportSpec(Section):
    """The `[report]` of a grid file; rows are the labels of its cells."""

    title: str
    text: list[str] = Field([], description="Paragraphs above the table.")
    table: Slug = "rows"
    caption: str = ""
    note: str = ""
    columns: dict[str, str] = Field({}, description="Titles of the tasks' columns; default: all.")
    seconds: bool = Field(False, description="Whether the table has seconds per epoch.")
    reference: ReferenceSpec | None = None
    contrasts: list[ContrastSpec] = Field([])
    duration: DurationSpec | None = None
    detail: str | None = Field(None, description="The row whose gradients and errors are shown.")
    submissions: list[SubmissionSpec] = Field([])


Reference = Mapping[str, Mapping[str, list[float]]]
"""By row and task: a figure, or several where it was given more than once."""
Rows = Mapping[str, Mapping[str, str]]
"""By label and task: the `model` of cells."""
_REFERENCE = TypeAdapter(
    dict[str, dict[str, dict[str, FiniteFloat | list[FiniteFloat]]]], config=ConfigDict(strict=True)
)


@dataclass(frozen=True)
class Experiment:
    """A grid whose file says how it is reported.

    Attributes:
        name: of the file, as its tables and figures begin.
        spec: what is asked for.
        cells: of the grid.
        rows: of the table.
        reference: what stands beside them.
    """

    name: str
    spec: ReportSpec
    cells: list[Cell]
    rows: Rows
    reference: Reference


def read_experiment(grid: Grid, folder: Path) -> Experiment:
    """Check the `[report]` of a grid's file.

    Args:
        grid: with a `[report]`.
        folder: that its reference's file is in.

    Raises:
        ConfigError: one line per fault, naming the file.
    """
    try:
        spec = ReportSpec.model_validate(dict(grid.report or {}))
    except ValidationError as error:
        raise ConfigError(*fault_lines(error, ReportSpec, f"{grid.path}: report")) from None
    rows = {label: _models(grid, label) for label in grid.labels}
    name = slug(grid.path.stem)
    if name.partition("-")[0] in TAKEN:
        name = f"grid-{name}"
    _check_files(grid.path, spec, name)
    _check_rows(grid.path, spec, rows)
    reference = (
        {} if spec.reference is None else _reference(folder / spec.reference.file, spec, rows)
    )
    return Experiment(name, spec, grid.cells, rows, reference)


def _models(grid: Grid, label: str) -> dict[str, str]:
    """Return which model a row has for each of its tasks."""
    models: dict[str, str] = {}
    for cell in grid.cells:
        for task in cell.config.labelled if label in cell.labels else ():
            if models.setdefault(task, cell.model) != cell.model:
                raise ConfigError(
                    f"{grid.path}: two cells labelled '{label}' train '{task}' and differ in more"
                    " than their seed; a row has one model for each task"
                )
    return models


def _check_files(path: Path, spec: ReportSpec, experiment: str) -> None:
    """Check that no table or figure has another one's name."""
    others = {f"{experiment}-differences", f"{experiment}-curves"}
    for name in (spec.table, spec.duration.name if spec.duration else ""):
        if name.partition("-")[0] in TAKEN or name in others:
            raise ConfigError(f"{path}: report: '{name}' is the name of another table or figure")


def _check_rows(path: Path, spec: ReportSpec, rows: Rows) -> None:
    """Check that rows, and the tasks of columns and contrasts, are there."""
    tasks = dict.fromkeys(task for models in rows.values() for task in models)
    for task in spec.columns:
        if task not in tasks and not (task == OVERALL and spec.submissions):
            raise ConfigError(f"{path}: report: columns: no row has '{task}'{nearest(task, tasks)}")
    if spec.submissions and not spec.columns.keys() - {OVERALL}:
        raise ConfigError(f"{path}: report: submissions take the tasks that columns name")
    named = [label for each in spec.contrasts for label in (each.of, *labels_of(each.against))]
    named += [row for each in spec.submissions for row in each.rows]
    named += [spec.detail] if spec.detail else []
    named += [spec.duration.baseline] if spec.duration else []
    for name in named:
        if name not in rows:
            raise ConfigError(f"{path}: report: no cell '{name}'{nearest(name, rows)}")
    for each in spec.contrasts:
        against = {task for label in labels_of(each.against) for task in rows[label]}
        if rows[each.of] and against and against.isdisjoint(rows[each.of]):
            raise ConfigError(f"{path}: report: '{each.label}': its rows have no task in common")


def labels_of(against: str | list[str]) -> list[str]:
    """Return the rows that a contrast is against."""
    return [against] if isinstance(against, str) else against


def _reference(file: Path, spec: ReportSpec, rows: Rows) -> Reference:
    """Read the figures that stand beside a table's; those of other tables are left out."""
    try:
        tables = _REFERENCE.validate_python(read_table(file, "file of reference figures"))
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"][:3]))
        raise ConfigError(f"{file}: {where}: takes a figure for each row and task") from None
    settings = tables.get(spec.table, {})
    for label, figures in settings.items():
        for task in figures if not spec.submissions else ():
            # Of rows that an equal budget leaves without cells, figures may be there.
            if task not in rows.get(label, {}) and rows.get(label) != {}:
                labels = [label for label, models in rows.items() if task in models]
                raise ConfigError(
                    f"{file}: {spec.table}: no cell '{label}' trains '{task}'"
                    f"{nearest(label, labels)}"
                )
    return {
        label: {
            task: figure if isinstance(figure, list) else [figure]
            for task, figure in figures.items()
        }
        for label, figures in settings.items()
    }
