"""One of a row's own choices for each row: which of them is right."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from accord.config.tasks import MetricKey, TaskConfig
from accord.data.labels import HIDDEN, MOST_SLIPS, LabelParser, is_blank, quoted
from accord.errors import ConfigError
from accord.kinds._candidates import CandidateKind, scores
from accord.kinds._context import TrainingLabels
from accord.kinds._labelled import Summary, shared_fields
from accord.kinds._shares import mean_log
from accord.kinds._targets import TargetForm
from accord.metrics import Constant
from accord.spelling import canonical_label
from accord.tasks import Task

if TYPE_CHECKING:
    from torch import Tensor, nn

    from accord.data.plan import TaskPlan
    from accord.kinds._targets import Array

Answer = Literal["index", "number", "letter", "text"]


class MultipleChoiceConfig(TaskConfig):
    """`[tasks.NAME]` with `kind = "multiple-choice"`."""

    kind: Literal["multiple-choice"]
    loss: Literal["cross_entropy"] | None = None
    metric: MetricKey = None
    answer: Answer | None = Field(
        None,
        description="How the label names the right choice: by its place counted from 0 ('index')"
        " or 1 ('number'), its letter ('letter') or its text ('text'); default: inferred from the"
        " labels of `train`, where only one of these is possible.",
    )

    def faults(self) -> Iterator[str]:
        """Yield what is wrong with the columns, the head and the metric."""
        yield from KIND.section_faults(self)


@dataclass(frozen=True)
class MultipleChoiceTask(Task):
    """`answer` is what a label says of the right choice (`MultipleChoiceConfig`)."""

    answer: str = "index"


class ChoiceParser(LabelParser):
    """Turns a row's label into the index of the choice that it names.

    Where the config doesn't say what labels are, one that names one choice by its place and another
    by its text is refused.
    """

    def __init__(self, plan: TaskPlan, task: MultipleChoiceTask) -> None:
        super().__init__(plan, among_values=task.answer in ("index", "number"))
        self._plan, self._answer = plan, task.answer
        self._guessed = plan.options.get("answer", task.answer) is None

    def of_row(self, values: Mapping[str, str], lists: Mapping[str, Sequence[Any]] = {}) -> int:
        cells = KIND.text_cells(self._plan, values, lists)
        self._choices = [canonical_label(str(cell)) for _, cell in cells][1:]
        target: int = super().of_row(values, lists)
        return target

    def target(self, label: str) -> int:
        if label in HIDDEN and label not in self._choices:
            raise self.refused(label, "no choice has such a place")
        named = [i for i, choice in enumerate(self._choices) if choice == label]
        if self._answer == "text":
            if len(named) == 1:
                return named[0]
            what = f"the text of {len(named)} choices" if named else "the text of no choice"
            cure = "; 'answer' says what else labels are" * self._guessed
            raise ValueError(f"{self.column}: {quoted(label)} is {what}{cure}")
        place = _PLACES[self._answer](label)
        if place is None or not 0 <= place < len(self._choices):
            cure = "; 'answer' says what else labels are" * bool(self._guessed and named)
            raise ValueError(f"{self.column}: {quoted(label)} is {self._none_of_them()}{cure}")
        if self._guessed and named and place not in named:
            raise ValueError(
                f"{self.column}: {quoted(label)} is one choice's place and another's text; 'answer'"
                " says which is meant"
            )
        return place

    def _none_of_them(self) -> str:
        first, last = (_NAMES[self._answer](i) for i in (0, len(self._choices) - 1))
        return f"none of the {len(self._choices)} choices, {first} to {last}"


_PLACE = re.compile("[0-9]{1,9}|[A-Za-z]")


def _number(label: str) -> int | None:
    return int(label) if _PLACE.fullmatch(label) and label.isdigit() else None


def _after_0(label: str) -> int | None:
    number = _number(label)
    return None if number is None else number - 1


def _letter(label: str) -> int | None:
    return ord(label.upper()) - ord("A") if _PLACE.fullmatch(label) and label.isalpha() else None


_PLACES: dict[str, Callable[[str], int | None]] = {
    "index": _number,
    "number": _after_0,
    "letter": _letter,
}
_NAMES: dict[str, Callable[[int], str]] = {
    "index": str, "text": str, "number": lambda i: str(i + 1), "letter": lambda i: chr(ord("A") + i)
}  # fmt: skip
"""What a prediction is called: as labels are, but of texts the index."""


class MultipleChoice(CandidateKind[MultipleChoiceTask]):
    """The right one of a row's choices; its head scores each beside the text, and a softmax over
    the row's choices makes probabilities of that."""

    name = "multiple-choice"
    hub_task: ClassVar = "multiple-choice"
    section = MultipleChoiceConfig
    losses = ("cross_entropy",)
    predicts = ("classes",)
    default_metric = "accuracy"
    metrics = ("accuracy",)  # others are of classes, which choices aren't
    answer_is_text = True
    quotes_texts = True
    summary_head = "right choices"
    candidate = "choice"
    columns = "a column of texts and one of lists of choices, or one for each choice"
    fewest = 2
    error = "whether it is another choice"
    transformers_model: ClassVar = "BertForMultipleChoice"

    @property
    def task_type(self) -> type[MultipleChoiceTask]:
        return MultipleChoiceTask

    def task_faults(self, task: MultipleChoiceTask) -> Iterator[str]:
        yield from super().task_faults(task)
        if task.answer not in _NAMES:
            yield f"answer is {task.answer!r}"

    def resolve(self, name: str, plan: TaskPlan, training: TrainingLabels) -> MultipleChoiceTask:
        """Take what labels say of choices from those of the training file, where it isn't
        configured."""
        return MultipleChoiceTask(
            **shared_fields(name, plan),
            loss=self.losses[0],
            metric=self.default_metric,
            answer=plan.options.get("answer") or _answer(name, plan, training),
        )

    def inferred_keys(self, plan: TaskPlan) -> list[str]:
        return ["answer"] if plan.options.get("answer") is None else []

    def parser(self, plan: TaskPlan, task: MultipleChoiceTask) -> ChoiceParser:
        return ChoiceParser(plan, task)

    def target_form(self, task: MultipleChoiceTask) -> TargetForm:
        return TargetForm("<i8")

    def summary(self, task: MultipleChoiceTask, targets: Array) -> Summary:
        import numpy as np

        counts = enumerate(np.bincount(targets).tolist())
        return {"labels": {_NAMES[task.answer](i): count for i, count in counts}}

    def described(self, task: MultipleChoiceTask, most: int) -> str:
        return f"labels by {task.answer}"

    def targets(self, task: MultipleChoiceTask, labels: Tensor) -> Tensor:
        """Return indices of choices, float32 [n]."""
        return labels.float()

    def loss(self, task: MultipleChoiceTask, logits: Tensor, targets: Tensor) -> Tensor:
        from accord.model import candidates

        return candidates.choice(scores(logits), targets)

    def divergence(self, task: MultipleChoiceTask, one: Tensor, other: Tensor) -> Tensor:
        from accord.model import candidates

        return candidates.listwise_divergence(scores(one), scores(other))

    def decode(self, task: MultipleChoiceTask, logits: Tensor) -> Tensor:
        """Return indices of choices; of like scores the first."""
        return scores(logits).argmax(1).double()

    def shares(self, logits: Tensor) -> Tensor:
        """Return each choice's probability, float64 [n, most], 0 after a row's choices."""
        return scores(logits).double().softmax(1)

    def details(
        self, task: MultipleChoiceTask, logits: Tensor, texts: Sequence[str | Sequence[str]] | None
    ) -> dict[str, list[Any]]:
        """Return the text of each row's choice, where texts are known, and all probabilities; the
        text is the prediction too, where labels are texts."""
        chosen = self.decode(task, logits).int().tolist()
        is_choice = (scores(logits) != -float("inf")).tolist()
        shares = self.shares(logits).tolist()
        details: dict[str, list[Any]] = {}
        if texts is not None:
            details["choice"] = [row[1 + i] for row, i in zip(texts, chosen, strict=True)]
            if task.answer == "text":
                details["prediction"] = details["choice"]
        details["probabilities"] = [
            [share for share, real in zip(row, of, strict=True) if real]
            for row, of in zip(shares, is_choice, strict=True)
        ]
        return details

    def logits_of_mean(self, task: MultipleChoiceTask, members: Sequence[Tensor]) -> Tensor:
        """Return the logits of the members' mean probabilities."""
        import torch

        logits = mean_log([self.shares(member) for member in members])[:, :, None]
        return logits.where(members[0] != -torch.inf, members[0])

    def answers(self, task: MultipleChoiceTask, values: Array) -> list[str]:
        """Return what labels call choices; the index where they are their texts."""
        return [_NAMES[task.answer](int(value)) for value in values]

    def read_answers(self, task: MultipleChoiceTask, answers: Sequence[str]) -> Array:
        import numpy as np

        place = _PLACES.get(task.answer, _number)
        places = [place(answer) for answer in answers]
        if None in places:
            raise ValueError(f"'{answers[places.index(None)]}' is no choice")
        return np.array(places, dtype=np.float64)

    def shown(self, task: MultipleChoiceTask, value: float) -> str:
        return _NAMES[task.answer](int(value))

    def row_errors(self, task: MultipleChoiceTask, labels: Array, predicted: Array) -> Array:
        other: Array = (predicted != labels).astype(float)
        return other

    def constant(self, task: MultipleChoiceTask, labels: Array) -> Constant:
        return replace(super().constant(task, labels), label=None, every=False)

    def transformers_fault(self, task: MultipleChoiceTask) -> str:
        return ""

    def transformers_layer(
        self, task: MultipleChoiceTask, linear: nn.Linear
    ) -> tuple[Tensor, Tensor]:
        return linear.weight, linear.bias

    def transformers_config(self, task: MultipleChoiceTask) -> dict[str, Any]:
        return {}


def _answer(name: str, plan: TaskPlan, training: TrainingLabels) -> str:
    """Return what the training labels are: letters, places counted from 0, or texts; a few others
    are slips, whose rows are refused.

    Raises:
        ConfigError: if they may be places counted from 1.
    """
    training.require("answer")
    forms, lowest = Counter[str](), 10**9
    for label in training.labels():
        if label in HIDDEN or is_blank(label, True):
            continue
        place = _number(label)
        lowest = lowest if place is None else min(lowest, place)
        forms["index" if place is not None else "text" if _letter(label) is None else "letter"] += 1
    form, rows = max(forms.items(), key=lambda item: item[1], default=("index", 0))
    if rows < (1 - MOST_SLIPS) * forms.total():
        return "text"
    if form != "index" or lowest == 0 or not rows:
        return form
    raise ConfigError(
        f"tasks.{name}.answer: is missing: column '{plan.label}' of {training} holds whole numbers"
        f" from {lowest}, which may be places counted from 0 ('index') or 1"
        " ('number'), or choices' texts ('text')"
    )


KIND = MultipleChoice()
