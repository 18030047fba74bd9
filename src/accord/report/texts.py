"""The dev rows with a run's worst errors, and their texts."""

from __future__ import annotations

from collections import Counter

import numpy as np

from accord.data.examples import Example, read_examples
from accord.data.files import DataFiles, files_of
from accord.data.store import open_store
from accord.data.tokenizing import load_tokenizer
from accord.errors import AccordError
from accord.kinds import labelled_kind
from accord.plan.tasks import task_plan
from accord.report.page import Table
from accord.report.record import Predictions, RunRecord
from accord.runs.folder import RunFolder

Texts = dict[str, tuple[str, ...]]

_MOST_CHARACTERS = 200
_MISSING = "–"


def worst_errors(
    name: str, title: str, predictions: Predictions, texts: Texts, count: int = 10
) -> Table:
    """Return the rows with the largest loss, the worst first; the earlier of two like ones first.

    For classes those are the rows whose true label got the lowest probability, for other kinds
    those with the largest error, such as the distance from a value.

    Args:
        name: a slug.
        title: of the table.
        predictions: of one task.
        texts: by id, as `dev_texts` returns them; without any the table has no text columns.
        count: how many rows at most.
    """
    task, shares = predictions.task, predictions.probabilities
    kind = labelled_kind(task)
    if shares is None:
        loss = kind.row_errors(task, predictions.labels, predictions.predicted)
        shown, measure = loss, kind.error
    else:
        probability = kind.likelihoods(predictions.labels, shares)
        loss, shown, measure = -probability, probability, "probability of the true label"
    worst = np.argsort(-loss, kind="stable")[:count]
    heads = ["text"] if task.texts == 1 else ["first text", "second text"]
    heads = heads if texts else []
    rows = [
        [
            predictions.ids[i],
            *map(_cut, texts.get(predictions.ids[i], (_MISSING,) * len(heads))[: len(heads)]),
            kind.shown(task, predictions.labels[i]),
            kind.shown(task, predictions.predicted[i]),
            f"{shown[i]:z.3f}",
        ]
        for i in map(int, worst)
    ]
    return Table(
        name,
        title,
        [predictions.key, *heads, "true", "predicted", measure],
        rows,
        left=1 + len(heads) + (2 if kind.answer_is_text else 0),
        note=f"The {len(rows)} of {len(predictions.ids):,} dev rows with the"
        f" {'lowest' if shares is not None else 'largest'} {measure}.",
    )


def dev_texts(run: RunRecord, task: str) -> Texts:
    """Read a task's dev file again, and return its texts by id, or by line where it has no ids.

    Nothing is returned where dev was a share of the training file, and where the file is gone or
    is not, by the hash that the run recorded, what it was: another row's text would mislead. Ids
    that stand twice are left out for that reason.

    Args:
        run: whose config names the file.
        task: the task's name.
    """
    plan = task_plan(run.config.labelled[task])
    if plan.dev is None:
        return {}
    try:
        files = files_of(plan, plan.dev)
        if not _is_unchanged(run, task, files):
            return {}
        rows = list(read_examples(files, plan, run.tasks[task], labelled=True))
    except AccordError:
        return {}
    usable = [row for row in rows if isinstance(row, Example)]
    usable = usable[: plan.limit]
    several = len(files.paths) > 1
    lines = [f"{files.paths[row.file]}:{row.line}" if several else str(row.line) for row in usable]
    keys = [line if row.id is None else row.id for row, line in zip(usable, lines, strict=True)]
    times = Counter(keys)
    return {key: row.texts for key, row in zip(keys, usable, strict=True) if times[key] == 1}


def _is_unchanged(run: RunRecord, task: str, files: DataFiles) -> bool:
    """Whether a dev file holds what it held: the store of its tokens has the hash of then."""
    plan = task_plan(run.config.labelled[task])
    tokenizer = load_tokenizer(run.path / "model")
    store = open_store(files, plan, run.tasks[task], tokenizer, labelled=True)
    rows = min(len(store), plan.limit or len(store))
    begun = RunFolder(run.path).read_json("resolved.json")
    recorded = begun.get("data", {}).get(f"{task}.dev")
    return bool(recorded == f"{store.fingerprint}:{rows}")


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MOST_CHARACTERS else line[: _MOST_CHARACTERS - 1] + "…"
