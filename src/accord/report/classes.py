"""A table of each class's figures."""

from __future__ import annotations

from collections.abc import Sequence

from accord.kinds import labelled_kind
from accord.metrics import ByClass
from accord.report.page import Table
from accord.report.record import Predictions


def class_table(name: str, title: str, predictions: Predictions) -> Table | None:
    """Return each class's rows, precision, recall and F1, the worst first; None without classes.

    Args:
        name: a slug.
        title: of the table.
        predictions: of one task.
    """
    task = predictions.task
    each = labelled_kind(task).by_class(task, predictions.labels, predictions.predicted)
    if each is None:
        return None
    columns = ["class", "dev rows", "precision", "recall", "F1"]
    return Table(name, title, columns, class_cells(each, each.worst))


def class_cells(each: ByClass, classes: Sequence[int]) -> list[list[str]]:
    """Return a row of text for each of some classes: label, rows, precision, recall, F1."""
    return [
        [
            each.labels[i], f"{each.support[i]:,}",
            *(f"{values[i]:z.3f}" for values in (each.precision, each.recall, each.f1)),
        ]
        for i in classes
    ]  # fmt: skip
