"""The columns that a file of answers adds to those of the input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow
from pyarrow import DataType
from torch import Tensor

from accord.evaluation.inference import no_logits
from accord.evaluation.prediction_formats import Share
from accord.evaluation.predictions import predicted_columns
from accord.kinds import kind_of, labelled_kind
from accord.tasks import Task


@dataclass(frozen=True)
class Naming:
    """How columns of answers are named: `TASK`, `TASK.DETAIL` and `TASK.LABEL`.

    Attributes:
        probabilities: whether there are those of classes or candidates.
        suffix: behind the task's name.
    """

    probabilities: bool = False
    suffix: str = ""

    @property
    def error(self) -> str:
        """The name of the column of why a row lacks an answer."""
        return f"error{self.suffix}"

    def columns(
        self, task: Task, logits: Tensor, texts: Sequence[str | Sequence[str]]
    ) -> dict[str, Sequence[Any]]:
        """Return what a task's logits [n, ...] say of texts, by column."""
        name = f"{task.name}{self.suffix}"
        said = predicted_columns(logits, task, {}, texts=texts)
        shares = said.pop("probabilities", None)
        columns = {name: said.pop("prediction")}
        if kind_of(task).gathers(task):  # each of a query's rows is a candidate
            return columns
        columns |= {f"{name}.{detail}": values for detail, values in said.items()}
        if shares is None or not self.probabilities:
            return columns
        labels = labelled_kind(task).probability_names(task)
        if not labels:
            return {**columns, f"{name}.probabilities": shares}
        return columns | {
            f"{name}.{label}": [Share(of[label]) for of in shares] for label in labels
        }

    def names(self, task: Task) -> list[str]:
        """Return the names of a task's columns."""
        return list(self.columns(task, no_logits(task), []))

    def types(self, task: Task) -> Mapping[str, DataType]:
        """Return the types of a task's columns in a Parquet file."""
        kind, name = labelled_kind(task), f"{task.name}{self.suffix}"
        answer = pyarrow.string() if kind.answer_is_text else pyarrow.float64()
        listed = kind.answer_is_list and not kind.gathers(task)
        entity = pyarrow.struct({
            "start": pyarrow.int64(), "end": pyarrow.int64(), "text": pyarrow.string(),
            "label": pyarrow.string(), "probability": pyarrow.float64(),
        })  # fmt: skip
        known = {
            name: pyarrow.list_(answer) if listed else answer,
            f"{name}.choice": pyarrow.string(),
            f"{name}.order": pyarrow.list_(pyarrow.int64()),
            f"{name}.entities": pyarrow.list_(entity),
        }
        if not task.labels:
            known[f"{name}.probabilities"] = pyarrow.list_(pyarrow.float64())
        return {column: known.get(column, pyarrow.float64()) for column in self.names(task)}
