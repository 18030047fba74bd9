"""Whether a model still answers its tasks to the bit as another does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from accord.data.datasets import Say
from accord.data.examples import Given
from accord.errors import AccordError, TrainingError
from accord.evaluation.dev_texts import plan_of, read_dev_texts, rows_from
from accord.evaluation.loading import load
from accord.evaluation.predict import Predictor
from accord.evaluation.texts import form_of, forms
from accord.kinds import kind_of
from accord.plural import count


def check_same_answers(
    before: Predictor, after: Predictor, task: str, rows: Sequence[Given]
) -> None:
    """Check that a task's answers are equal to the byte, whichever other tasks are asked with it.

    Args:
        before: answers the task alone.
        after: answers it together with all tasks that read such rows.
        task: which both have.
        rows: that it takes.

    Raises:
        TrainingError: if an answer differs.
    """
    settled = after.task(task)
    given = {form_of(row, 0, forms(settled)) for row in rows}
    together = [
        other.name for other in after.tasks
        if given <= {*forms(other)} and not kind_of(other).varying
    ]  # fmt: skip
    old = before.answered([task], rows)[task].logits
    new = after.answered([task, *together], rows)[task].logits
    if not torch.equal(old.view(torch.int32), new.view(torch.int32)):
        moved = int((old != new).flatten(1).any(1).sum())
        raise TrainingError(
            f"answers of '{task}' differ in {moved} of {len(rows)} rows from those of the model"
            " that they should be equal to; nothing was written"
        )


def prove(
    model: Path, made: Path, names: Sequence[str], spare: Sequence[Given], say: Say
) -> Iterator[str]:
    """Check that tasks answer as they did, and yield on which texts that was seen.

    Args:
        model: the model's folder as it was.
        made: the new model's folder.
        names: of the tasks that should be unchanged.
        spare: rows of other tasks, for those whose files can't be read any more.
        say: told what is being done.

    Raises:
        TrainingError: if an answer differs.
    """
    before, after, plan = load(model), load(made), plan_of(model)
    for name in names:
        task, why = before.task(name), "the model lies in no run folder that names its files"
        try:
            rows = [] if plan is None else read_dev_texts(task, plan, before.folder)
        except AccordError as error:
            rows, why = [], str(error).splitlines()[0]
        what = f"{count(len(rows), 'dev text')} of its own"
        if not rows:
            rows = rows_from(spare, task)
            what = f"{count(len(rows), 'row')} made of the new tasks' dev texts ({why})"
        if not rows:
            yield f"{name}: weights equal to the byte; no texts to compare answers on ({why})"
            continue
        say(f"comparing the answers of '{name}' on {count(len(rows), 'row')}")
        check_same_answers(before, after, name, rows)
        yield f"{name}: answers equal to the byte on {what}"
