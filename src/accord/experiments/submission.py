"""Predictions in the course's format, of the best runs: the leaderboard's files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from accord.comparison.group import Group
from accord.durable import replace_folder
from accord.errors import RunFolderError
from accord.experiments.rows import Row
from accord.experiments.spec import OVERALL, Experiment, SubmissionSpec
from accord.metrics import overall_score
from accord.report.page import Table
from accord.report.record import RunRecord

_FILES = {"quora": "para"}
"""What the course calls a task's file, where it isn't the task's name."""


@dataclass(frozen=True)
class Submission:
    """The best runs of a row, whose predictions a folder takes.

    Attributes:
        spec: its part of the grid's file.
        row: the label of the row.
        runs: by task.
        values: their dev figures by task, and the score of all tasks.
    """

    spec: SubmissionSpec
    row: str
    runs: dict[str, RunRecord]
    values: dict[str, float]


def chosen_submissions(experiment: Experiment, rows: Mapping[str, Row]) -> Iterator[Submission]:
    """Yield the submissions that an experiment's file asks for and whose runs are all done."""
    spec, chosen = experiment.spec, _best_shared(experiment.spec.submissions, rows, 0)
    tasks = [task for task in spec.columns if task != OVERALL]
    for each in spec.submissions:
        row = rows[each.rows[_best_shared([each], rows, chosen) % len(each.rows)]]
        if row.groups.keys() >= set(tasks):
            best = {task: _best(row.groups[task], task) for task in tasks}
            values = {task: run.metrics[task] for task, run in best.items()}
            metrics = {task: run.tasks[task].metric for task, run in best.items()}
            values[OVERALL] = overall_score("cs224n", values, metrics)
            yield Submission(each, row.label, best, values)


def submissions(experiment: Experiment, rows: Mapping[str, Row], out: Path) -> Table | None:
    """Write an experiment's folders of predictions; return their dev figures and the reference's.

    Args:
        experiment: whose tasks' columns say what a submission holds; `overall` is their score.
        rows: of its table.
        out: the folders go into `out/leaderboard`.

    Returns:
        None where no folder's runs are all done.
    """
    spec, body, note = experiment.spec, [], [experiment.spec.note]
    for each in chosen_submissions(experiment, rows):
        _write(each.runs, out / "leaderboard" / each.spec.folder)
        body.append([each.row, *(f"{each.values[task]:z.3f}" for task in spec.columns)])
        note.append(each.spec.note)
    if not body:
        return None
    for label, figures in experiment.reference.items():
        shown = [figures.get(task, []) for task in spec.columns]
        body.append([label, *(f"{figures[0]:z.3f}" if figures else "–" for figures in shown)])
    columns = ["", *spec.columns.values()]
    return Table(spec.table, spec.caption, columns, body, note=" ".join(filter(None, note)))


def _best_shared(
    submissions: Sequence[SubmissionSpec], rows: Mapping[str, Row], default: int
) -> int:
    """Return which of submissions' rows is that of the shared model with the best dev score.

    Args:
        submissions: whose rows are asked; a later one's stand for an earlier one's.
        rows: by their labels.
        default: where none of them is of a shared model.
    """
    scores = {
        i: max(float(run.results["score"]) for run in group.runs)
        for each in submissions for i, label in enumerate(each.rows)
        if (group := rows[label].group) is not None and len(group.tasks) > 1
    }  # fmt: skip
    return max(scores, key=lambda i: scores[i], default=default)


def _best(group: Group, task: str) -> RunRecord:
    """Return the run with the best dev score, of a single task with its best metric."""
    shared = len(group.tasks) > 1
    return max(
        group.runs, key=lambda run: float(run.results["score"]) if shared else run.metrics[task]
    )


def _write(runs: Mapping[str, RunRecord], folder: Path) -> None:
    def write(aside: Path) -> None:
        for task, run in runs.items():
            for split in ("dev", "test"):
                source = run.path / "predictions" / f"{task}-{split}-leaderboard.csv"
                if source.is_file():
                    shutil.copyfile(source, aside / f"{_FILES.get(task, task)}-{split}-output.csv")

    try:
        replace_folder(folder, write)
    except OSError as error:
        raise RunFolderError(f"{folder}: can't be written: {error.strerror}") from None
