"""The leaderboard's files: of three single-task models, and of one shared model."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from accord.comparison.group import Group
from accord.durable import replace_folder
from accord.errors import RunFolderError
from accord.evaluation.metrics import cs224n_score
from accord.experiments.paper import TABLE_5, TASKS, TITLES
from accord.experiments.results import Results
from accord.report.page import Table
from accord.report.record import RunRecord

_FILES = {"sst": "sst", "quora": "para", "sts": "sts"}
"""What the course calls each task's file."""

_NOTE = (
    "Ours are dev figures: the test labels are the course's. Of several seeds the best on dev was"
    " taken, as one would for a leaderboard, so these figures are biased upwards."
)
_EXPOSURE = (
    " The first row and that of the shared model have the paper's exposure: alone each task's rows"
    " come once an epoch, shared as often as the batching method has it, so the two differ in"
    " exposure besides sharing. The row between them doesn't: there each task alone was shown as"
    " many examples as the shared model was of it."
)


def leaderboard(results: Results, out: Path) -> Table | None:
    """Write the sets of files and return their dev figures beside the paper's test figures.

    The shared model is the better of the batching methods 2 and 3, by the dev score. The single
    tasks' models come twice: on all their rows once an epoch, as in the paper, and on as many
    examples as the shared model was shown.

    Args:
        results: of the reproduction.
        out: the files go to `single-task`, `single-task-equal` and `multitask` in
            `out/leaderboard`.

    Returns:
        None where no set is complete.
    """
    rows, note = [], _NOTE
    alone = {task: results.alone(task) for task in TASKS}
    found = {task: _best(group, task) for task, group in alone.items() if group is not None}
    if len(found) == len(TASKS):
        rows.append(_row("three single-task models", found, out / "leaderboard" / "single-task"))
    groups = [results.together(batching=own) for own in ("finish-smallest", "finish-largest")]
    shared = [run for group in groups if group is not None for run in group.runs]
    if shared:
        best = max(shared, key=lambda run: float(run.results["score"]))
        batching = best.config.training.batching
        as_shown = {task: results.alone_as_shown(task, batching) for task in TASKS}
        equal = {task: _best(own, task) for task, own in as_shown.items() if own is not None}
        if len(equal) == len(TASKS):
            folder = out / "leaderboard" / "single-task-equal"
            rows.append(_row("the same, as many examples as the shared model", equal, folder))
            note += _EXPOSURE
        title = f"one shared model ({batching})"
        rows.append(_row(title, dict.fromkeys(TASKS, best), out / "leaderboard" / "multitask"))
    if not rows:
        return None
    paper = [f"{TABLE_5[name]:z.3f}" for name in (*TASKS, "overall")]
    rows.append(["the paper's, on the test set", *paper])
    columns = ["", *(TITLES[task] for task in TASKS), "Overall Score"]
    return Table("table-5", "Table 5: leaderboard submission", columns, rows, note=note)


def _best(group: Group, task: str) -> RunRecord:
    return max(group.runs, key=lambda run: run.metrics[task])


def _row(title: str, runs: Mapping[str, RunRecord], folder: Path) -> list[str]:
    values = {task: run.metrics[task] for task, run in runs.items()}
    metrics = {task: run.tasks[task].metric for task, run in runs.items()}

    def write(aside: Path) -> None:
        for task, run in runs.items():
            for split in ("dev", "test"):
                source = run.path / "predictions" / f"{task}-{split}-leaderboard.csv"
                if source.is_file():
                    shutil.copyfile(source, aside / f"{_FILES[task]}-{split}-output.csv")

    try:
        replace_folder(folder, write)
    except OSError as error:
        raise RunFolderError(f"{folder}: can't be written: {error.strerror}") from None
    return [
        title,
        *(f"{own:z.3f}" for own in values.values()),
        f"{cs224n_score(values, metrics):z.3f}",
    ]
