"""The report on whether sharing was worth it, and its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from accord.report.comparison.answer import answer
from accord.report.comparison.result import SharingResult, TaskComparison
from accord.report.comparison.tables import (
    answer_table,
    cost_table,
    exposure_table,
    figures_table,
)
from accord.report.figures import DifferenceRow, differences, learning_curves
from accord.report.page import Figure, Section, Table
from accord.report.record import RunRecord
from accord.report.writing import write_report

TITLE = "Was sharing worth it?"


def sharing_report(
    out: Path,
    result: SharingResult,
    curves: Mapping[str, Sequence[RunRecord]] | None = None,
    formats: Sequence[str] = (),
    more: Sequence[Section] = (),
) -> list[Section]:
    """Write `report.html`, `report.md`, tables and figures on a comparison.

    Args:
        out: the folder; made where it is missing.
        result: of the comparison.
        curves: runs whose learning curves are drawn, those that differ by seed alone by a name.
        formats: of figures and tables besides SVG and CSV.
        more: sections at the end.

    Returns:
        The report's sections.

    Raises:
        RunFolderError: if a file can't be written.
    """
    sections = [*sharing_sections(result, curves), *more]
    lead = [answer(result)] if result.tasks or not more else []
    write_report(out, TITLE if lead else "Groups of runs", lead, sections, formats)
    return sections


def sharing_sections(
    result: SharingResult, curves: Mapping[str, Sequence[RunRecord]] | None = None
) -> list[Section]:
    """Return the report's sections; its first paragraph is `answer`.

    Args:
        result: of the comparison.
        curves: as in `sharing_report`.
    """
    sections = []
    if result.tasks:
        items: list[Table | Figure] = [answer_table(result), forest_plot(result)]
        sections += [
            Section("The answer, task by task", [], items),
            Section("Figures", [], [figures_table(result)]),
        ]
    if result.models:
        sections.append(Section("Cost", [], [cost_table(result)]))
    if any(side.exposure for task in result.tasks for side in (task.alone, task.together)):
        sections.append(Section("Exposure", [], [exposure_table(result)]))
    if curves:
        figure = learning_curves("learning-curves", "Learning curves", curves)
        sections.append(Section("Learning", [], [figure]))
    if result.notes:
        sections.append(Section("Notes", list(result.notes), []))
    return sections


def forest_plot(result: SharingResult) -> Figure:
    """Return every task's difference with its interval and verdict."""
    several = len({task.model for task in result.tasks}) > 1
    rows = [_row(task, several, result.margin) for task in result.tasks]
    return differences("differences", "Together minus alone", rows)


def _row(task: TaskComparison, several: bool, margin: float | None) -> DifferenceRow:
    return DifferenceRow(
        f"{task.task}: {task.model}" if several else task.task,
        100 * task.difference,
        100 * task.low,
        100 * task.high,
        task.kind,
        task.verdict,
        None if margin is None else 100 * margin,
        _figures(task),
    )


def _figures(task: TaskComparison) -> str:
    return (
        f"{task.metric}: alone {task.alone.mean:z.3f}, together {task.together.mean:z.3f},"
        f" constant {task.baseline:z.3f}"
    )
