"""Any number of classes for each row, none among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from accord.config.tasks import ClassWeightsKey, LossKey, MetricKey, TaskConfig
from accord.kinds._class_names import numbered, some_of
from accord.kinds._classes import balanced_positives, weight_faults, weights_of
from accord.kinds._context import TrainingLabels
from accord.kinds._label_sets import LabelSetParser, found_labels, name_faults
from accord.kinds._labelled import LabelledKind, Summary, shared_fields
from accord.kinds._section_faults import (
    class_faults,
    foreign_faults,
    metric_faults,
    only_faults,
    shape_faults,
)
from accord.kinds._shares import mean_logit
from accord.kinds._targets import TargetForm
from accord.kinds._thresholds import best_f1_thresholds, moved
from accord.spelling import canonical_label
from accord.tasks import Task

if TYPE_CHECKING:
    from torch import Tensor, nn

    from accord.data.plan import TaskPlan
    from accord.encoders.encoder import EncoderConfig
    from accord.kinds._targets import Array
    from accord.model.heads import TaskHead


class MultiLabelConfig(TaskConfig):
    """`[tasks.NAME]` with `kind = "multi-label"` or `"pair-multi-label"`."""

    kind: Literal["multi-label", "pair-multi-label"]
    label: str | list[str] = "label"  # type: ignore[assignment]
    separator: str = Field(
        "|",
        min_length=1,
        description="What separates a row's labels in their column (unless it holds JSON lists)"
        " and in a run's files of predictions.",
    )
    empty: str | None = Field(
        None,
        description="What a row without any label has in their column, such as '' or 'none'; by"
        " default an empty cell means that a row was not labelled, and an empty list, or a 0 in"
        " each of several columns, that it has none.",
    )
    thresholds: Literal["tuned", "fixed"] = Field(
        "tuned",
        description="Probability from which on a label is predicted: 'fixed' is 0.5; 'tuned' is,"
        " for each label, the one with the highest F1 on dev. Figures on dev are then"
        " cross-fitted: each half uses the thresholds that the other half chooses.",
    )
    loss: LossKey = None
    metric: MetricKey = None
    class_weights: ClassWeightsKey = None

    @property
    def label_columns(self) -> tuple[str, ...]:
        return (self.label,) if isinstance(self.label, str) else tuple(self.label)

    def faults(self) -> Iterator[str]:
        """Yield what is wrong with the shape, the metric, and the labels."""
        yield from shape_faults(self)
        yield from metric_faults(self, KIND.metrics)
        yield from class_faults(self, least=1)
        yield from weight_faults(self.class_weights)
        yield from only_faults(self, loss=KIND.losses[0], head="linear")
        yield from foreign_faults(self, "positive")
        if not isinstance(self.label, str):
            yield from self._column_faults(self.label)
        names = self.labels if self.labels is not None else ()
        yield from name_faults("labels", [str(name) for name in names], self.separator)
        empty = canonical_label(self.empty or "")
        if self.empty is not None and empty in map(canonical_label, map(str, names)):
            yield f"empty: '{empty}' is one of 'labels' too; a cell is either"
        if self.empty is not None and empty in self.missing_labels:
            yield f"empty: '{empty}' is in 'missing' too; a row is either"

    def _column_faults(self, columns: Sequence[str]) -> Iterator[str]:
        if not columns or len(set(columns)) < len(columns) or "" in columns:
            yield f"label: takes one or more different columns, got {list(columns)}"
        if self.labels is not None:
            yield "labels: the columns of 'label' name them; leave it out"
        if self.empty is not None:
            yield "empty: is for labels in one column; in several it is a 0 in each"
        yield from name_faults("label", columns, self.separator)


@dataclass(frozen=True)
class MultiLabelTask(Task):
    """A task whose rows have any number of labels.

    Attributes:
        separator: what stands between labels in one text.
        empty: the text that stands for none of them; None where none does.
        columns: whether each label has a column of its own, which is named as it.
        tuned: whether dev rows choose its thresholds.
    """

    separator: str = "|"
    empty: str | None = None
    columns: bool = False
    tuned: bool = True


class MultiLabel(LabelledKind[MultiLabelTask]):
    """Each label by itself, yes or no: a logit and a binary cross entropy for each.

    A row's loss is the mean over labels, so that it doesn't grow with their number. Micro F1 is the
    default metric: of labels that hardly a dev row has, the F1 is mostly chance, and a mean over
    labels (`macro_f1`) has as much of these as of others.
    """

    name = "multi-label"
    section = MultiLabelConfig
    pairs = True
    losses = ("binary_cross_entropy",)
    predicts = ("label_sets",)
    default_metric = "micro_f1"
    takes_lists = True
    discrete = True
    answer_is_text = True
    answer_is_list = True
    summary_head = "labels"

    @property
    def task_type(self) -> type[MultiLabelTask]:
        return MultiLabelTask

    def resolve(self, name: str, plan: TaskPlan, training: TrainingLabels) -> MultiLabelTask:
        """Take labels that aren't configured, or named by columns, from the training file."""
        separator, columns = plan.options["separator"], plan.label_columns != (plan.label,)
        empty = plan.options["empty"]
        empty = None if empty is None else canonical_label(empty)
        labels = plan.label_columns if columns else plan.labels
        labels = labels or found_labels(name, plan, training, separator, empty)
        return self.task_type(
            **shared_fields(name, plan),
            loss=self.losses[0],
            metric=plan.metric or self.default_metric,
            labels=labels,
            class_weights=weights_of(name, plan.class_weights, labels),
            separator=separator,
            empty=empty,
            columns=columns,
            tuned=plan.options["thresholds"] == "tuned",
        )

    def inferred_keys(self, plan: TaskPlan) -> list[str]:
        named = plan.labels is not None or plan.label_columns != (plan.label,)
        return [] if named else ["labels"]

    def task_faults(self, task: MultiLabelTask) -> Iterator[str]:
        if not task.labels or len(set(task.labels)) < len(task.labels):
            yield f"labels are {list(task.labels)[:5]}"
        if not (isinstance(task.separator, str) and task.separator) or any(
            task.separator in label for label in task.labels
        ):
            yield f"separator is {task.separator!r}"
        if not isinstance(task.empty, str | None) or task.empty in task.labels:
            yield f"empty is {task.empty!r}"
        if task.thresholds and not (
            len(task.thresholds) == len(task.labels)
            and all(isinstance(each, float) and 0 < each < 1 for each in task.thresholds)
        ):
            yield f"thresholds are {task.thresholds!r:.80}"
        if task.head != "linear" or task.targets != "range" or task.positive is not None:
            yield f"head is {task.head!r}, targets {task.targets!r}, positive {task.positive!r}"

    def label_columns(self, task: MultiLabelTask, label: str) -> tuple[str, ...]:
        return task.labels if task.columns else (label,)

    def parser(self, plan: TaskPlan, task: MultiLabelTask) -> LabelSetParser:
        return LabelSetParser(plan, task)

    def target_form(self, task: MultiLabelTask) -> TargetForm:
        return TargetForm("|u1", (len(task.labels),))

    def strata(self, targets: Array) -> Array:
        """Return the rarest label of each row, [rows]; of a row without one, their number.

        *Source:* Sechidis et al. 2011, On the Stratification of Multi-Label Data, whose splits deal
        out the rarest label's rows first.
        """
        import numpy as np

        rows = np.where(targets, targets.sum(0, dtype=np.int64), len(targets) + 1)
        return np.asarray(np.where(targets.any(1), rows.argmin(1), targets.shape[1]))

    def rows_of_classes(self, task: MultiLabelTask, targets: Array) -> list[Array]:
        import numpy as np

        return [np.flatnonzero(column) for column in targets.T]

    def balanced(self, task: MultiLabelTask, rows: Sequence[int], total: int) -> tuple[float, ...]:
        return balanced_positives(task.name, task.labels, rows, total)

    def summary(self, task: MultiLabelTask, targets: Array) -> Summary:
        """Count each label's rows, and before them those that have none, if there are any."""
        import numpy as np

        none = int((~targets.any(1)).sum())
        counts = dict(zip(task.labels, targets.sum(0, dtype=np.int64).tolist(), strict=True))
        return {"labels": {**({"(none)": none} if none else {}), **counts}}

    def described(self, task: MultiLabelTask, most: int) -> str:
        return f"labels {some_of(task.labels, most)}"

    def outputs(self, task: MultiLabelTask) -> int:
        """Return a logit for each label."""
        return len(task.labels)

    def new_head(self, task: MultiLabelTask, encoder: EncoderConfig) -> TaskHead:
        from accord.model.label_sets import LabelSetHead

        return LabelSetHead(task, encoder.hidden_size, encoder.initializer_range)

    def targets(self, task: MultiLabelTask, labels: Tensor) -> Tensor:
        """Return 0 or 1 for each label, float32 [n, labels]."""
        return labels.float()

    def training_loss(self, task: MultiLabelTask, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over labels of −w_l t log p − (1 − t) log(1 − p), [n]: a label's weight
        is that of the rows that have it."""
        from accord.model.losses import binary_cross_entropy

        return binary_cross_entropy(logits, targets, task.class_weights)

    def decode(self, task: MultiLabelTask, logits: Tensor) -> Tensor:
        """Return 1 for each label whose probability reaches its threshold, float64 [n, labels]."""
        return (moved(logits, task.thresholds) >= 0).double()

    def probabilities(self, task: MultiLabelTask, logits: Tensor) -> Tensor:
        """Return each label's probability; a row's have no sum."""
        return logits.double().sigmoid()

    def tunes(self, task: MultiLabelTask) -> bool:
        return task.tuned

    def tuned(self, task: MultiLabelTask, labels: Array, logits: Tensor) -> tuple[float, ...]:
        """Return for each label where its F1 is highest (`best_f1_thresholds`)."""
        return best_f1_thresholds(labels, logits.numpy())

    def likelihoods(self, labels: Array, shares: Array) -> Array:
        import numpy as np

        return np.asarray(np.where(labels, shares, 1 - shares).prod(1))

    def logits_of_mean(self, task: MultiLabelTask, members: Sequence[Tensor]) -> Tensor:
        """Return the logits of the members' mean probabilities."""
        return mean_logit([self.probabilities(task, member) for member in members])

    def answers(self, task: MultiLabelTask, values: Array) -> list[list[str]]:
        """Return lists of names."""
        import numpy as np

        names = np.array(task.labels, dtype=object)
        return [names[row > 0].tolist() for row in np.asarray(values)]

    def cell(self, task: MultiLabelTask, answer: Sequence[str]) -> str:
        return task.separator.join(answer) or task.empty or ""

    def read_answers(self, task: MultiLabelTask, answers: Sequence[str]) -> Array:
        import numpy as np

        index = {name: i for i, name in enumerate(task.labels)}
        values = np.zeros((len(answers), len(index)))
        for row, answer in enumerate(answers):
            if answer not in ("", task.empty):
                values[row, [index[name] for name in answer.split(task.separator)]] = 1
        return values

    def shown(self, task: MultiLabelTask, value: Array) -> str:
        (names,) = self.answers(task, value[None])
        return ", ".join(names) or "(none)"

    def transformers_fault(self, task: MultiLabelTask) -> str:
        return ""

    def transformers_layer(self, task: MultiLabelTask, linear: nn.Linear) -> tuple[Tensor, Tensor]:
        return linear.weight.double(), linear.bias.double()

    def transformers_config(self, task: MultiLabelTask) -> dict[str, Any]:
        return {
            **numbered(task.labels),
            "problem_type": "multi_label_classification",
        }

    def transformers_note(self, task: MultiLabelTask) -> str:
        if not task.thresholds:
            return ""
        return ", whose labels have thresholds of their own: those in accord.json"


KIND = MultiLabel()
