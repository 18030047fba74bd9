"""What kinds of task have in common whose rows have a text and a varying number of candidates."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from accord.config.tasks import TaskConfig
from accord.kinds._kind import Layout
from accord.kinds._labelled import LabelledKind
from accord.kinds._section_faults import foreign_faults, metric_faults, only_faults
from accord.plural import count

if TYPE_CHECKING:
    from torch import Tensor

    from accord.data.plan import TaskPlan
    from accord.kinds._targets import Array
    from accord.tasks import Task

T = TypeVar("T", bound="Task")


class CandidateKind(LabelledKind[T]):
    """A kind whose rows have a text, and candidates that are each read beside it and have a score.

    The first column of texts is that of the text; the second has a list of candidates, or each of
    the others one. Logits are [n, most, 1], -inf behind a row's candidates.

    Attributes:
        columns: what `text` names, for messages.
    """

    units = "sequences"
    varying = True
    columns: ClassVar[str]

    def section_faults(self, section: TaskConfig) -> Iterator[str]:
        """Yield what is wrong with a section's columns, head and metric."""
        kind, columns = f"kind '{section.kind}'", section.text_columns
        if len(columns) < 2:
            yield f"text: {kind} takes {self.columns}, got {len(columns)}"
        if len(set(columns)) < len(columns):
            yield f"text: names a column twice: {', '.join(columns)}"
        if section.encoding == "separate":
            yield f"encoding: {kind} reads each {self.candidate} beside its text: takes 'joint'"
        yield from only_faults(section, head="linear")
        yield from metric_faults(section, self.metrics)
        yield from foreign_faults(section, "targets", "labels", "positive", "range")

    def task_faults(self, task: T) -> Iterator[str]:
        if (task.encoding, task.head, task.targets) != ("joint", "linear", "range"):
            yield f"encoding is {task.encoding!r}, head {task.head!r}, targets {task.targets!r}"

    def text_cells(
        self, plan: TaskPlan, values: Mapping[str, str], lists: Mapping[str, Sequence[Any]]
    ) -> Iterator[tuple[str, Any]]:
        first, *others = plan.text
        if first in lists:
            raise ValueError(f"'{first}' holds a list, not a text")
        yield first, values[first]
        cells = [(name, values[name]) for name in others]
        if len(others) == 1:
            listed = self._listed(others[0], values, lists)
            cells = [(f"{others[0]}[{i}]", cell) for i, cell in enumerate(listed)]
        for name, cell in cells:
            if name in lists:
                raise ValueError(f"'{name}' holds a list, not the text of one {self.candidate}")
            if cell is None or not str(cell).strip():
                raise ValueError(f"'{name}' is empty")
            yield name, cell

    def _listed(
        self, name: str, values: Mapping[str, str], lists: Mapping[str, Sequence[Any]]
    ) -> Sequence[Any]:
        """Return a row's list of candidates, of which there are enough."""
        from accord.data.values import list_of

        listed = list_of(lists.get(name, values[name]), name)
        if listed is None:
            if not values[name].strip():
                raise ValueError(f"'{name}' is empty")
            what = f"a text, not a list of {self.candidate}s; 'text' takes {self.columns}"
            raise ValueError(f"'{name}' holds {what}")
        if len(listed) < self.fewest:
            had = count(len(listed), self.candidate) if listed else f"no {self.candidate}s"
            raise ValueError(f"'{name}' holds {had}: at least {self.fewest} needed")
        return listed

    def layout(self, task: T) -> Layout:
        """Return the sequence of one candidate beside the text."""
        return ((0, 1),)

    def layout_of(self, task: T, texts: int) -> Layout:
        return tuple((0, i) for i in range(1, texts))

    def strata(self, targets: Array) -> None:
        return None

    def outputs(self, task: T) -> int:
        return 1


def scores(logits: Tensor) -> Tensor:
    """Return candidates' scores, [n, most], of logits [n, most, 1]."""
    return logits.squeeze(2)


def listed(values: Array) -> list[list[float]]:
    """Return each row's values [n, most] without the NaNs after them."""
    import numpy as np

    return [row[~np.isnan(row)].tolist() for row in values]


def read_lists(answers: Sequence[str]) -> Array:
    """Return lists of numbers in JSON as an array, float64 [n, most], NaN behind the shorter.

    Raises:
        ValueError: if one of them is no such list.
    """
    import numpy as np

    from accord.data.ragged import padded

    rows = [json.loads(answer) for answer in answers]
    if not all(isinstance(row, list) for row in rows):
        raise ValueError("holds no list of numbers")
    every = np.array([float(number) for row in rows for number in row])
    return padded(every, np.array([*map(len, rows)], dtype=np.int64), np.nan)
