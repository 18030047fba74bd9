"""A grade for each of a row's candidates, which are to be ranked by it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from accord.config.tasks import MetricKey, TaskConfig
from accord.data.labels import LabelParser, parse_number
from accord.kinds._candidates import CandidateKind, listed, read_lists, scores
from accord.kinds._context import TrainingLabels
from accord.kinds._labelled import Summary, shared_fields, spread
from accord.kinds._targets import TargetForm
from accord.plural import count
from accord.tasks import Task

if TYPE_CHECKING:
    from torch import Tensor, nn

    from accord.data.plan import TaskPlan
    from accord.kinds._targets import Array


class RankingConfig(TaskConfig):
    """`[tasks.NAME]` with `kind = "ranking"`."""

    kind: Literal["ranking"]
    loss: Literal["listwise", "pairwise"] | None = Field(
        None,
        description="'listwise' compares the softmax of a query's scores with that of its grades,"
        " 'pairwise' each candidate with those of lower grades; default: listwise.",
    )
    metric: MetricKey = None
    rows: Literal["queries", "candidates"] = Field(
        "queries",
        description="What a row of the files holds: a query with lists of candidates and of their"
        " grades ('queries'), or one candidate with its grade ('candidates'), where rows of one"
        " `id` make a query; such files are held in memory while they are read.",
    )

    def faults(self) -> Iterator[str]:
        """Yield what is wrong with the columns, the head and the metric."""
        yield from KIND.section_faults(self)
        if len(self.text_columns) > 2:
            yield f"text: kind 'ranking' takes {KIND.columns}, got {len(self.text_columns)}"
        if self.rows == "candidates" and self.id is None:
            yield "id: is missing: rows = 'candidates' takes the column of the query's id"


@dataclass(frozen=True)
class RankingTask(Task):
    """`rows` is what a row of its files is (`RankingConfig`)."""

    rows: str = "queries"


class GradeParser(LabelParser):
    """Turns a row's list of grades into numbers, one for each candidate."""

    def __init__(self, plan: TaskPlan) -> None:
        super().__init__(plan, among_values=True)
        self._candidates = plan.text[1]

    def of_row(
        self, values: Mapping[str, str], lists: Mapping[str, Sequence[Any]] = {}
    ) -> list[float]:
        from accord.data.values import list_of

        if self._is_blank(values[self.column]):
            raise self.blank(values[self.column])
        cells, candidates = (
            list_of(lists.get(name, values[name]), name) for name in (self.column, self._candidates)
        )
        if cells is None:
            raise ValueError(f"'{self.column}' holds one grade, not a list of them")
        grades = [self.grade(cell, f"{self.column}[{i}]") for i, cell in enumerate(cells)]
        wanted, of = len(candidates or ()), self._candidates
        if len(grades) != wanted:
            had, needed = count(len(grades), "grade"), count(wanted, "candidate")
            raise ValueError(f"'{self.column}' holds {had}, but '{of}' {needed}")
        return grades

    def left_out(self, target: Sequence[float]) -> str:
        return "" if len(set(target)) > 1 else "one candidate or equal grades: nothing to rank"

    def check(self, label: str, column: str) -> float:
        return self.grade(label, column)

    def grade(self, cell: Any, column: str) -> float:
        """Return a candidate's grade.

        Args:
            cell: as a list has it.
            column: as messages call it.

        Raises:
            ValueError: it is not a number of at least 0, or more than float32 holds.
        """
        from accord.data.values import list_text

        if cell is None or cell == "":
            raise ValueError(f"'{column}' is empty: no grade")
        try:
            grade = _TRUTH[cell] if cell in _TRUTH else parse_number(cell)
        except (ValueError, TypeError):
            shown = cell if isinstance(cell, str) else list_text(cell)
            raise ValueError(f"{column}: {shown:.40} is not a number") from None
        if grade < 0:
            raise ValueError(f"{column}: {grade:g} is below 0, which no grade may be")
        if grade > _HIGHEST:
            raise ValueError(f"{column}: {grade:g} is above {_HIGHEST:g}, which no grade may be")
        return grade

    def target(self, label: str) -> float:
        return self.grade(label, self.column)


_HIGHEST = 1e30  # differences of scores and grades are float32
_TRUTH = {"true": 1.0, "false": 0.0}


class Ranking(CandidateKind[RankingTask]):
    """Candidates in the order of their scores; each is scored beside the query.

    Several models say the mean of their scores.
    """

    name = "ranking"
    hub_task = "text-ranking"
    section = RankingConfig
    losses = ("listwise", "pairwise")
    predicts = ("scores",)
    default_metric = "ndcg"
    answer_is_list = True
    takes_lists = True
    error = "1 − NDCG"
    summary_head = "lowest, mean, highest grade"
    candidate = "candidate"
    columns = "a column of queries and one of candidates"
    fewest = 1
    row_called = ("query", "queries")

    @property
    def task_type(self) -> type[RankingTask]:
        return RankingTask

    def task_faults(self, task: RankingTask) -> Iterator[str]:
        yield from super().task_faults(task)
        if task.rows not in ("queries", "candidates"):
            yield f"rows are {task.rows!r}"

    def resolve(self, name: str, plan: TaskPlan, training: TrainingLabels) -> RankingTask:
        return RankingTask(
            **shared_fields(name, plan),
            loss=plan.loss or self.losses[0],
            metric=plan.metric or self.default_metric,
            rows=plan.options["rows"],
        )

    def inferred_keys(self, plan: TaskPlan) -> list[str]:
        return []

    def gathers(self, task: RankingTask) -> bool:
        return task.rows == "candidates"

    def details(
        self, task: RankingTask, logits: Tensor, texts: Sequence[str | Sequence[str]] | None
    ) -> dict[str, list[Any]]:
        """Return the numbers of each row's candidates, counted from 0, the best first."""
        import numpy as np

        every = listed(self.decode(task, logits).numpy())
        return {"order": [np.argsort(-np.array(row), kind="stable").tolist() for row in every]}

    def parser(self, plan: TaskPlan, task: RankingTask) -> GradeParser:
        return GradeParser(plan)

    def target_form(self, task: RankingTask) -> TargetForm:
        return TargetForm("<f8", ragged=True)

    def summary(self, task: RankingTask, targets: Array) -> Summary:
        import numpy as np

        return spread(targets[~np.isnan(targets)])

    def described(self, task: RankingTask, most: int) -> str:
        return "lists of grades" if task.rows == "queries" else "one graded candidate per row"

    def targets(self, task: RankingTask, labels: Tensor) -> Tensor:
        """Return grades, float32 [n, most], NaN after a row's candidates."""
        return labels.float()

    def loss(self, task: RankingTask, logits: Tensor, targets: Tensor) -> Tensor:
        from accord.model import candidates

        loss = candidates.listwise if task.loss == "listwise" else candidates.pairwise
        return loss(scores(logits), targets)

    def divergence(self, task: RankingTask, one: Tensor, other: Tensor) -> Tensor:
        from accord.model import candidates

        listwise = task.loss == "listwise"
        apart = candidates.listwise_divergence if listwise else candidates.pairwise_divergence
        return apart(scores(one), scores(other))

    def decode(self, task: RankingTask, logits: Tensor) -> Tensor:
        """Return scores, float64 [n, most], NaN after a row's candidates."""
        import torch

        decoded = scores(logits).double()
        return decoded.masked_fill(decoded == -torch.inf, torch.nan)

    def logits_of_mean(self, task: RankingTask, members: Sequence[Tensor]) -> Tensor:
        """Return the members' mean scores."""
        import torch

        return torch.stack([*members]).double().mean(0).float()

    def answers(self, task: RankingTask, values: Array) -> list[list[float]]:
        """Return each row's scores, or grades."""
        return listed(values)

    def cell(self, task: RankingTask, answer: Any) -> str:
        return json.dumps(answer)

    def read_answers(self, task: RankingTask, answers: Sequence[str]) -> Array:
        return read_lists(answers)

    def shown(self, task: RankingTask, value: Array) -> str:
        return ", ".join(f"{number:.3g}" for number in listed(value[None])[0])

    def row_errors(self, task: RankingTask, labels: Array, predicted: Array) -> Array:
        from accord.metrics._ranked import each_ndcg

        return 1 - each_ndcg(predicted, labels)

    def transformers_fault(self, task: RankingTask) -> str:
        return "none of its models ranks candidates"

    def transformers_layer(self, task: RankingTask, linear: nn.Linear) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def transformers_config(self, task: RankingTask) -> dict[str, Any]:
        raise NotImplementedError


KIND = Ranking()
