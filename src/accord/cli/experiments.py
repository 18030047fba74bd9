"""What a grid's file asks of its report: its tables on stdout, or its figures as data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accord.cli.comparisons import verdict_json
from accord.cli.results import print_report_tables
from accord.experiments.contrasts import Planned, agreement_note, planned
from accord.experiments.report import experiment_sections
from accord.experiments.rows import Row, load_results
from accord.experiments.spec import Experiment
from accord.experiments.submission import Submission, chosen_submissions
from accord.report.page import Section


def planned_sections(experiment: Experiment, out: Path) -> list[Section]:
    """Return the sections that a grid's file asks for, and print their tables.

    Args:
        experiment: whose runs are in `out`.
        out: the grid's folder.
    """
    sections = experiment_sections([experiment], load_results(out, experiment.cells), out)
    print_report_tables(sections)
    return sections


def experiment_json(experiment: Experiment, out: Path) -> dict[str, Any]:
    """Return the rows, contrasts and submissions that a grid's file asks for; nothing is written.

    Args:
        experiment: whose runs are in `out`.
        out: the grid's folder.
    """
    spec = experiment.spec
    rows = load_results(out, experiment.cells).rows(experiment)
    contrasts, refused = planned(experiment, rows)
    return {
        "title": spec.title,
        "rows": [_row_json(row, experiment.rows[label]) for label, row in rows.items()],
        "reference": None if spec.reference is None else {
            "name": spec.reference.name, "figures": experiment.reference,
        },
        "contrasts": [_contrast_json(each) for each in contrasts],
        "submissions": [_submission_json(each) for each in chosen_submissions(experiment, rows)],
        "notes": [*refused, *agreement_note(experiment, contrasts)],
    }  # fmt: skip


def _row_json(row: Row, models: Mapping[str, str]) -> dict[str, Any]:
    """Return a row's dev figures at the epochs that the same rows chose, task by task; those of
    tasks whose runs are not done are None."""
    return {
        "label": row.label,
        "tasks": {
            task: None if (group := row.groups.get(task)) is None else {
                "group": group.name, "seeds": group.seeds,
                "mean": group.dev_mean(task), "sd": group.dev_spread(task),
            } for task in models
        },
        "seconds_per_epoch": None if row.group is None else row.group.seconds_per_epoch,
    }  # fmt: skip


def _contrast_json(each: Planned) -> dict[str, Any]:
    return {
        "label": each.label, "task": each.task,
        "group": each.group.name, "against": each.baseline.name,
        "reference": each.reference, "agreement": each.agreement,
        **verdict_json(each.difference, each.verdict),
    }  # fmt: skip


def _submission_json(each: Submission) -> dict[str, Any]:
    return {
        "folder": each.spec.folder, "row": each.row, "dev": each.values,
        "runs": {task: str(run.path) for task, run in each.runs.items()},
    }  # fmt: skip
