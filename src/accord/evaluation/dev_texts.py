"""The texts of tasks' dev rows, read again from the files that they were trained with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from accord.data.datasets import TaskFiles
from accord.data.examples import Example, Given, read_examples
from accord.data.files import files_of
from accord.data.tokenizing import load_tokenizer
from accord.errors import AccordError
from accord.kinds import kind_of
from accord.model.saved import find_model_folder
from accord.plan.recorded import recorded_plan
from accord.plan.run import StagePlan
from accord.runs.folder import RunFolder
from accord.tasks import Task


def run_of(model: Path) -> RunFolder | None:
    """Return the run whose model it is; None if it is none's."""
    folder = find_model_folder(model).absolute()
    run = RunFolder(folder.parent)
    is_its_own = folder == run.model and (run.path / "resolved.json").is_file()
    return run if is_its_own else None


def plan_of(model: Path) -> StagePlan | None:
    """Return the plan of the run whose model it is; None if it is none's, or that can't be read."""
    run = run_of(model)
    try:
        return None if run is None else recorded_plan(run).stages[-1]
    except AccordError:
        return None


def read_dev_texts(task: Task, plan: StagePlan, model: Path) -> list[Given]:
    """Return the texts of a task's dev rows, as `Predictor.predict` takes them.

    Args:
        task: with labels.
        plan: names its files.
        model: the folder whose tokenizer the rows were read with.

    Raises:
        AccordError: if they can't be read.
    """
    files = plan.data.tasks[task.name]
    split = TaskFiles(task, files, load_tokenizer(model), lambda line: None).dev(
        plan.data.dev_share
    )
    source = files.dev or files.train
    assert source is not None  # else there were no rows
    examples = read_examples(files_of(files, source), files, task, labelled=True)
    rows = [example.as_given for example in examples if isinstance(example, Example)]
    return [rows[row] for row in split.rows]


def rows_from(texts: Sequence[Given], task: Task) -> list[Given]:
    """Return rows in the form that a task takes, made from those of other tasks."""
    single = list(dict.fromkeys(
        text for row in texts for text in ([row] if isinstance(row, str) else row)
    ))  # fmt: skip
    length = 1 + kind_of(task).fewest if kind_of(task).varying else task.texts
    if length == 1 or not single:
        return [*single]
    return [
        tuple(single[(place + i) % len(single)] for i in range(length))
        for place in range(len(single))
    ]
