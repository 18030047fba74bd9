"""Rows of one candidate each: gathered into queries, and answered candidate by candidate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from accord.data.examples import BadRow, Example
from accord.data.gathering import gathered
from accord.data.reading import FilesReader
from accord.data.rows import Row
from accord.evaluation.answerable import Answerable, TextGroup, read_by
from accord.evaluation.passes import CHUNK_ROWS
from accord.evaluation.predict import Predictor
from accord.evaluation.predictions import predicted_values
from accord.evaluation.task_groups import Answered

_NUMBER = "\0number"  # no file has such a column


@dataclass
class Gathered:
    """The queries of a group of tasks; all of them are in memory.

    Attributes:
        queries: each with the numbers of its rows, in the order of its candidates.
        faults: why rows can't be used, by their numbers.
        scores: of the candidates, by task and by the number of their row, once there are any.
    """

    queries: list[tuple[Example, list[int]]] = field(default_factory=list)
    faults: dict[int, BadRow] = field(default_factory=dict)
    scores: dict[str, dict[int, float]] = field(default_factory=dict)

    @staticmethod
    def of(answerable: Answerable, group: TextGroup) -> Gathered:
        """Read all rows of a group."""
        rows, read = _Numbered(answerable, read_by(group.plan)), Gathered()
        for row in gathered(iter(rows), group.plan, [_NUMBER], {}):
            path = answerable.files.paths[row.file]
            numbers = [*map(int, row.lists[_NUMBER])] if row.values else [rows.number]
            item = group.reader.item(row, path)
            if isinstance(item, Example):
                read.queries.append((item, numbers))
            elif isinstance(item, BadRow):
                read.faults |= dict.fromkeys(numbers, item)
        return read

    def answer(self, model: Predictor, group: TextGroup) -> Iterator[dict[str, Answered]]:
        """Answer the queries, and yield what was said of some of them after the others."""
        names = [task.name for task in group.tasks]
        for start in range(0, len(self.queries), CHUNK_ROWS):
            queries = self.queries[start : start + CHUNK_ROWS]
            answered = model.answered(names, [example.as_given for example, _ in queries])
            for task in group.tasks:
                values = predicted_values(answered[task.name].logits, task)
                self._take(task.name, queries, values)
            yield answered

    def _take(
        self, task: str, queries: Sequence[tuple[Example, list[int]]], values: Sequence[object]
    ) -> None:
        scores = self.scores.setdefault(task, {})
        for (_, numbers), each in zip(queries, values, strict=True):
            scores |= zip(numbers, each, strict=True)  # type: ignore[call-overload]


class _Numbered:
    """Rows that know their numbers, from 0; `number` is the last one's."""

    def __init__(self, answerable: Answerable, use: Sequence[str]) -> None:
        self._rows, self.number = FilesReader(answerable.files).rows(use), -1

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.number += 1
            values = row.values and {**row.values, _NUMBER: str(self.number)}
            yield replace(row, values=values)
