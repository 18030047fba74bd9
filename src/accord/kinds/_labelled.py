"""What a kind of task with labels declares, and what all such kinds have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from accord.kinds._classes import BALANCED, balanced_weights
from accord.kinds._context import Evaluation, HeadContext
from accord.kinds._kind import Kind, Layout
from accord.kinds._targets import TargetForm
from accord.metrics import ByClass, Constant, crossfit_value, get_metric

if TYPE_CHECKING:
    from torch import Tensor, nn

    from accord.config.tasks import TaskConfig
    from accord.data.labels import LabelParser
    from accord.data.plan import TaskPlan
    from accord.encoders.encoder import EncoderConfig
    from accord.encoders.units import Units
    from accord.kinds._targets import Array
    from accord.model.heads import TaskHead
    from accord.tasks import Task

T = TypeVar("T", bound="Task")
Answers = list[str] | list[float] | list[list[str]] | list[list[float]]
Summary = dict[str, dict[str, Any]]
"""A split's labels, summed up for a report: `labels`, a count for each class, or `targets`, the
smallest, mean and largest."""


def shared_fields(name: str, plan: TaskPlan) -> dict[str, Any]:
    """Return the fields of a task that don't depend on its kind."""
    return {
        "name": name, "kind": plan.kind, "encoding": plan.encoding, "head": plan.head,
        "pooling": plan.pooling, "dropout": plan.dropout, "targets": plan.targets,
    }  # fmt: skip


def spread(values: Array) -> Summary:
    """Return the summary of numbers."""
    figures = {"min": values.min(), "mean": values.mean(), "max": values.max()}
    return {"targets": {name: float(value) for name, value in figures.items()}}


def _as_wide(logits: Tensor, targets: Tensor | Array) -> Tensor:
    """Return logits [n, places, C] with as many places as targets [n, most] have: some of a split's
    rows have fewer units than others. Those of rows with one target are as they were."""
    if logits.ndim < 3 or targets.ndim < 2:
        return logits
    from torch.nn.functional import pad

    more = targets.shape[1] - logits.shape[1]
    return pad(logits, (0, 0, 0, more), value=float("-inf"))


class LabelledKind(Kind[T]):
    """A kind of task whose rows have labels.

    Attributes:
        takes_lists: whether a typed file may have a row's label as a list.
        answer_is_text: whether a prediction is a name, or names; else a number.
        answer_is_list: whether it is a list of them.
        leaderboard: by the number of texts, how the course's prediction files head their column.
    """

    labelled = True
    section: ClassVar[type[TaskConfig]]
    takes_lists: ClassVar[bool] = False
    answer_is_text: ClassVar[bool] = False
    answer_is_list: ClassVar[bool] = False
    leaderboard: ClassVar[Mapping[int, str]] = {}

    # Labels

    @abstractmethod
    def inferred_keys(self, plan: TaskPlan) -> list[str]:
        """Return the keys that the config leaves to the training file."""

    def label_columns(self, task: T, label: str) -> tuple[str, ...]:
        """Return the columns that a target is read from, given how files name the label's."""
        return (label,)

    @abstractmethod
    def parser(self, plan: TaskPlan, task: T) -> LabelParser:
        """Return what turns a row's label into a target, by its columns, `missing`, `range` and
        options, and the task's labels and range alone: a store of other ones is another one."""

    def reading(self, task: T) -> dict[str, Any]:
        """Return what of a config's options a model has to know to read other files."""
        return {}

    @abstractmethod
    def target_form(self, task: T) -> TargetForm:
        """Return what a store keeps of a row's target."""

    def strata(self, targets: Array) -> Array | None:
        return targets

    def rows_of_classes(self, task: T, targets: Array) -> list[Array]:
        """Return for each of the task's classes its rows, ascending; nothing without classes.
        Classes are balanced by them, in the loss and as rows are drawn."""
        return []

    def settled(self, task: T, plan: TaskPlan, targets: Array) -> T:
        """Return the task with what its training rows settle, given their targets: weights of
        classes that are to be balanced.

        Raises:
            ConfigError: if there are no such weights.
        """
        if plan.class_weights != BALANCED:
            return task
        rows = [len(each) for each in self.rows_of_classes(task, targets)]
        return replace(task, class_weights=self.balanced(task, rows, len(targets)))

    def balanced(self, task: T, rows: Sequence[int], total: int) -> tuple[float, ...]:
        """Return the weights that balance a task's classes.

        Args:
            task: of this kind.
            rows: of each class in training.
            total: all training rows.

        Raises:
            ConfigError: if there are none.
        """
        return balanced_weights(task.name, task.labels, rows)

    @abstractmethod
    def summary(self, task: T, targets: Array) -> Summary:
        """Return the summary of a split's labels for a report."""

    @abstractmethod
    def described(self, task: T, most: int) -> str:
        """Say which labels there are; of classes at most `most`."""

    # Sequences and head

    def layout(self, task: T) -> Layout:
        texts = range(task.texts)
        return tuple((i,) for i in texts) if task.encoding == "separate" else (tuple(texts),)

    def new_head(self, task: T, encoder: EncoderConfig) -> TaskHead:
        from accord.model.heads import Head

        return Head(task, encoder.hidden_size, encoder.initializer_range)

    # Loss

    @abstractmethod
    def targets(self, task: T, labels: Tensor) -> Tensor:
        """Return what the loss compares with, float32 [n, ...], from what the store keeps."""

    def loss(self, task: T, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each example, [n], from logits [n, ...]: plain, as figures have it,
        whatever the task's training goes by."""
        from accord.model.losses import LOSSES

        return LOSSES[task.loss](logits, targets)

    def training_loss(self, task: T, logits: Tensor, targets: Tensor) -> Tensor:
        """Return what training minimises of each example, [n]: w_c times the loss, smoothed where
        the task says so, where c is the label's class.

        A step takes the mean over its examples, Σ w_c ℓ / n: weights whose mean over the training
        rows is 1, as balanced ones' is, leave the loss its scale beside other tasks' losses.
        """
        from accord.model.losses import cross_entropy, weights_of_rows

        losses = (
            cross_entropy(logits, targets, task.label_smoothing)
            if task.label_smoothing
            else self.loss(task, logits, targets)
        )
        return (
            losses * weights_of_rows(task.class_weights, targets) if task.class_weights else losses
        )

    def divergence(self, task: T, one: Tensor, other: Tensor) -> Tensor:
        """Return how far apart two models' or passes' logits are, [n], in units of the loss: never
        below 0, 0 for the same, and the same either way round."""
        from accord.model.losses import DIVERGENCES

        return DIVERGENCES[task.loss](one, other)

    def directions(self, task: T) -> int:
        """Return 2 where `divergence` is KL(p‖q) + KL(q‖p), 1 where it has one direction."""
        return 1 if task.loss == "mse" else 2

    def head_losses(
        self, task: T, head: Any, vectors: Tensor, targets: Tensor, context: HeadContext
    ) -> Tensor:
        logits = self.arranged(task, head(vectors, context.key), context.units)
        return self.label_losses(task, head, logits, targets)

    def arranged(self, task: T, logits: Tensor, units: Units | None) -> Tensor:
        """Return a head's outputs by example: [n, outputs] as they are; of [V, outputs], where an
        example has several units, [n, most, outputs], with -inf where an example has fewer."""
        return logits if units is None else units.arranged(logits)

    def label_losses(self, task: T, head: TaskHead, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each example, [n], in the units in which its head learns."""
        return head.scaled(self.training_loss(task, _as_wide(logits, targets), targets))

    def head_divergences(self, task: T, head: TaskHead, one: Tensor, other: Tensor) -> Tensor:
        """Return `divergence` in the units in which a head learns."""
        return head.scaled(self.divergence(task, one, other))

    # Predictions

    @abstractmethod
    def decode(self, task: T, logits: Tensor) -> Tensor:
        """Turn logits [n, ...] into predictions, float64 [n, ...], as targets are kept: class
        indices, or values in the task's own units."""

    def decoding(self, task: T) -> Hashable:
        """Return what `decode` and `probabilities` go by: rows of tasks with as many outputs that
        have it in common may be decoded as one task's, and no bit depends on what rows stand
        beside them. Default: the task's name, so that it is decoded alone."""
        return task.name

    def probabilities(self, task: T, logits: Tensor) -> Tensor | None:
        """Return each class's probability, float64 [n, labels]; None without classes."""
        return None

    def details(
        self, task: T, logits: Tensor, texts: Sequence[str | Sequence[str]] | None
    ) -> dict[str, list[Any]]:
        """Return what files of predictions have of each row beside its prediction, by column.

        Args:
            task: of this kind.
            logits: [n, ...].
            texts: of each row; of a kind that labels words its text as it was given, or its words;
                None where only their tokens are known.
        """
        return {}

    def mean_logits(self, task: T, members: Sequence[Tensor]) -> Tensor:
        """Return the logits that say the mean of what several models say.

        p = Σ_m p_m / M for class probabilities, y = Σ_m y_m / M for values.

        *Source:* Lakshminarayanan et al. 2017, Simple and scalable predictive uncertainty
        estimation using deep ensembles, section 2.4.

        Args:
            task: the same for all models.
            members: each model's logits, [n, ...].

        Returns:
            float32 [n, ...], from which `decode` and `probabilities` give that mean; those of one
            model as they are.
        """
        return members[0] if len(members) == 1 else self.logits_of_mean(task, members)

    @abstractmethod
    def logits_of_mean(self, task: T, members: Sequence[Tensor]) -> Tensor:
        """Return `mean_logits` of two models or more."""

    def unseen(self, task: T) -> str:
        """Return the answer for a word that a model doesn't see, of a kind that labels words."""
        raise NotImplementedError

    def probability_names(self, task: T) -> tuple[str, ...]:
        """Return whose probabilities files of predictions have, one per row each."""
        return task.labels

    def likelihoods(self, labels: Array, shares: Array) -> Array:
        """Return the probability of each row's label, [n], from those of all classes."""
        raise NotImplementedError

    @abstractmethod
    def answers(self, task: T, values: Array) -> Answers:
        """Return targets or decoded predictions [n, ...] as files of predictions have them."""

    def cell(self, task: T, answer: Any) -> str:
        """Return an answer as a table's text."""
        return str(answer)

    @abstractmethod
    def read_answers(self, task: T, answers: Sequence[str]) -> Array:
        """Return the targets or predictions, float64 [n, ...], that a table's texts stand for.

        Raises:
            ValueError, KeyError: if one of them stands for none.
        """

    def shown(self, task: T, value: Any) -> str:
        """Return a target or prediction as a report's table shows it."""
        return f"{value:.3g}"

    error: ClassVar[str] = "absolute error"
    """What a report calls `row_errors`."""

    def row_errors(self, task: T, labels: Array, predicted: Array) -> Array:
        """Return how wrong each row's prediction is, [n], where there are no probabilities of
        classes: the distance from its target, or from all of its targets."""
        distances = abs(predicted - labels)
        return distances if distances.ndim == 1 else distances.sum(1)

    # Evaluation

    def evaluated(self, task: T, metric: str, logits: Tensor) -> Array:
        """Return predictions in the form that a metric takes."""
        by_shares = get_metric(metric).of == "probabilities"
        shares = self.probabilities(task, logits) if by_shares else None
        return (self.decode(task, logits) if shares is None else shares).numpy()

    def evaluate(
        self, task: T, labels: Array, logits: Tensor, moved: Tensor | None = None
    ) -> Evaluation:
        import torch

        deciding = _as_wide(logits if moved is None else moved, labels)
        fitting = _as_wide(logits, labels)
        figures = {
            task.name_of(name): get_metric(name)(
                self.evaluated(task, name, deciding), labels, task.positive_class
            )
            for name in self.metrics_of(task)
        }
        constant = self.constant(task, labels)
        figures["constant"] = constant.value
        wanted = self.targets(task, torch.from_numpy(labels))
        figures["loss"] = float(self.loss(task, fitting, wanted).double().mean())
        value = figures[task.metric_name]
        remark = constant.remark(task.metric_name, value, task.labels)
        classes = self.by_class(task, labels, self.decode(task, deciding).numpy())
        return Evaluation(value, figures, logits, remark, classes)

    def by_class(self, task: T, labels: Array, predicted: Array) -> ByClass | None:
        """Return the figures of each class from targets [n] and what is predicted, [n], or from
        label sets; None of a kind that predicts no classes of the task."""
        if not {"classes", "label_sets"} & {*self.predicts} or not task.labels:
            return None
        return ByClass.of(task.labels, labels, predicted)

    def metric(self, task: T, labels: Array, logits: Tensor, halves: Array | None = None) -> float:
        predictions = self.compared(task, labels, logits)
        return crossfit_value(task.metric, labels, predictions, halves, task.positive_class)

    def compared(self, task: T, labels: Array, logits: Tensor) -> Array:
        """Return predictions as the task's metric compares them with labels."""
        return self.evaluated(task, task.metric, _as_wide(logits, labels))

    def constant(self, task: T, labels: Array) -> Constant:
        """Return the best that a prediction can be that never looks at the text."""
        return get_metric(task.metric).best_constant(labels, task.positive_class)

    # As a model of transformers

    transformers_model: ClassVar[str] = "BertForSequenceClassification"
    transformers_pooling: ClassVar[str] = "pooler"

    @abstractmethod
    def transformers_fault(self, task: T) -> str:
        """Return why no linear layer over BERT's pooler says what the head says; or ''."""

    @abstractmethod
    def transformers_layer(self, task: T, linear: nn.Linear) -> tuple[Tensor, Tensor]:
        """Return the weight [outputs, H] and bias [outputs] of a layer whose outputs are plain."""

    @abstractmethod
    def transformers_config(self, task: T) -> dict[str, Any]:
        """Return what a `config.json` says of the head's outputs."""

    def transformers_note(self, task: T) -> str:
        """Say what the exported head's logits are, behind its name; '' where that is known."""
        return ""
