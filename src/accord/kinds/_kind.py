"""What every kind of task declares, with labels or without."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from accord.kinds._context import Evaluation, HeadContext, Hiding, TextPasses, TrainingLabels
from accord.metrics import Form, all_metrics, get_metric

if TYPE_CHECKING:
    from torch import Tensor

    from accord.config.tasks import AnyTaskConfig
    from accord.data.plan import TaskPlan
    from accord.encoders.encoder import EncoderConfig
    from accord.encoders.packing import TokenSequence
    from accord.encoders.units import Unit
    from accord.kinds._targets import Array
    from accord.model.heads import TaskHead
    from accord.tasks import Task

T = TypeVar("T", bound="Task")
Layout = tuple[tuple[int, ...], ...]
"""The sequences of an example, and the numbers of the texts that each of them joins."""


class Kind(ABC, Generic[T]):
    """A kind of task.

    Attributes:
        name: as the config spells it.
        section: the keys that `[tasks.NAME]` takes, and what may be wrong with them.
        labelled: whether rows have labels; `LabelledKind` has more to say then.
        pairs: whether rows may hold two texts.
        losses, poolings: what a task may have; the first is the default.
        predicts: the forms in which metrics can have its predictions.
        default_metric: by which a task is evaluated that names none.
        units: what a head has a vector for: "rows", as many for every example; "words" of the text
            or "sequences", of which examples have a varying number (`accord.encoders.units.Units`).
        varying: whether rows may have more texts than others.
        quotes_texts: whether its answers quote texts, which stores then keep as they were given.
        candidate: what messages call a candidate, of a kind whose rows have a varying number.
        fewest: candidates that a row has at least.
        row_called: what messages call a row that its files may have in several.
        compares_examples: whether it compares an example with the others in its step, which then is
            one pass with at least two of them.
        by_dropout: whether it compares a text under two dropout masks.
        discrete: whether its `strata` are classes.
        squared: whether its loss is a squared distance, as a Gaussian's likelihood has it.
        reads_codes: whether the classes of a Parquet file are read as their numbers.
        hides_words: whether it puts [MASK] in the place of words.
        uses_word_table: whether its head multiplies by the word embeddings: each of these has a
            gradient then.
        head_for: what its head is for, where later stages would miss it: no model folder holds it.
        summary_head: a table's heading for the summary of a split's labels.
        metric_format: of its metric in a line of progress.
        hub_task: what Hugging Face's hub calls it.
    """

    name: ClassVar[str]
    section: ClassVar[type[AnyTaskConfig]]
    labelled: ClassVar[bool]
    pairs: ClassVar[bool] = False
    losses: ClassVar[tuple[str, ...]]
    predicts: ClassVar[tuple[Form, ...]]
    default_metric: ClassVar[str]
    poolings: ClassVar[tuple[str, ...]] = ("cls", "pooler", "mean")
    units: ClassVar[Unit] = "rows"
    varying: ClassVar[bool] = False
    quotes_texts: ClassVar[bool] = False
    candidate: ClassVar[str] = ""
    fewest: ClassVar[int] = 0
    row_called: ClassVar[tuple[str, str]] = ("row", "rows")
    compares_examples: ClassVar[bool] = False
    by_dropout: ClassVar[bool] = False
    discrete: ClassVar[bool] = False
    squared: ClassVar[bool] = False
    reads_codes: ClassVar[bool] = False
    hides_words: ClassVar[bool] = False
    uses_word_table: ClassVar[bool] = False
    head_for: ClassVar[str] = ""
    summary_head: ClassVar[str] = ""
    metric_format: ClassVar[str] = "z.3f"
    hub_task: ClassVar[str] = "text-classification"

    @property
    def task_type(self) -> type[Task]:
        """What its tasks are: `Task`, or a class with what else they have."""
        from accord.tasks import Task

        return Task

    def task_faults(self, task: T) -> Iterator[str]:
        """Yield what can't be about a task of this kind that a stranger describes."""
        yield from ()

    # Data

    @abstractmethod
    def resolve(self, name: str, plan: TaskPlan, training: TrainingLabels) -> T:
        """Return the task with nothing left open.

        Args:
            name: the task's name, as in `[tasks.NAME]`.
            plan: what the config says of it.
            training: the labels of the training file, for what the config leaves open.

        Raises:
            ConfigError: if the config's values don't go together, or can't be found in the file.
        """

    def text_cells(
        self, plan: TaskPlan, values: Mapping[str, str], lists: Mapping[str, Sequence[Any]]
    ) -> Iterator[tuple[str, Any]]:
        """Yield each of a row's texts and how messages call it; a list is one of its words.

        Args:
            plan: of the task: which columns.
            values: the texts of its cells, by column.
            lists: those cells that the file has as lists, as `accord.data.rows.Row` has them.
        """
        for name in plan.text:
            yield name, lists.get(name, values[name])

    def gathers(self, task: T) -> bool:
        """Whether rows of its files that have one id are one row of the task
        (`accord.data.gathering`)."""
        return False

    def word_places(self, options: Mapping[str, Any], text: str) -> list[tuple[int, int]]:
        """Return where the words of a text begin and have ended, for a kind that labels words.

        Args:
            options: of the task, as `TaskPlan` or `LabelledKind.reading` has them.
            text: that a file has in one piece.
        """
        return [word.span() for word in re.finditer(r"\S+", text)]

    @abstractmethod
    def layout(self, task: T) -> Layout:
        """Return the sequences that the encoder reads for one example."""

    def layout_of(self, task: T, texts: int) -> Layout:
        """Return `layout` for an example of so many texts, where their number varies."""
        return self.layout(task)

    def step_sequences(
        self, task: T, sequences: list[TokenSequence], hiding: Hiding
    ) -> list[TokenSequence]:
        """Return a step's sequences as the encoder is to see them in training; only asked of a kind
        that hides words."""
        return sequences

    def masked_words(self, task: T, lengths: Array) -> float:
        """Return how many words per example its head predicts on average, by examples' lengths."""
        return 0.0

    def strata(self, targets: Array) -> Array | None:
        """Return one number per row by whose values splits and halves are balanced, [rows]; None
        where rows are all alike."""
        return None

    # Model

    @abstractmethod
    def outputs(self, task: T) -> int:
        """Return the width of the head's logits: a row's, or those of each of its units."""

    @abstractmethod
    def new_head(self, task: T, encoder: EncoderConfig) -> TaskHead:
        """Return a fresh head on an encoder of these sizes."""

    @abstractmethod
    def head_losses(
        self, task: T, head: Any, vectors: Tensor, targets: Tensor, context: HeadContext
    ) -> Tensor:
        """Return the loss of each example, [n].

        Args:
            task: of this kind.
            head: its head.
            vectors: what its pooling gives, [n * sequences, H]; [V, H] where an example has a
                varying number of units.
            targets: float32 [n, ...].
            context: what else the head may need.
        """

    # Evaluation

    def failed(self, logits: Tensor) -> Tensor:
        """Return for which rows a model gives no numbers, bool [rows].

        Args:
            logits: [rows, outputs]; of rows with several units [rows, most, outputs], where -inf
                stands for what there isn't.
        """
        bad = ~logits.isfinite() if self.units == "rows" else ~(logits < float("inf"))
        return bad.flatten(1).any(1)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that a task may name, its default first."""
        names = [metric.name for metric in all_metrics(*self.predicts)]
        return tuple(sorted(names, key=lambda name: name != self.default_metric))

    def metrics_of(self, task: T) -> tuple[str, ...]:
        """Return the metrics that fit a task: those of one class only where one is meant."""
        return tuple(
            name for name in self.metrics
            if task.positive is not None or not get_metric(name).one_class
        )  # fmt: skip

    def tunes(self, task: T) -> bool:
        """Whether the rows that choose a task's model choose thresholds too (`tuned`)."""
        return False

    def tuned(self, task: T, labels: Array, logits: Tensor) -> tuple[float, ...]:
        """Return the probability from which on each label is predicted, as some rows choose it.

        Args:
            task: that `tunes`.
            labels: the rows' targets, [rows, labels]; there may be no row.
            logits: [rows, labels].
        """
        raise NotImplementedError

    @abstractmethod
    def evaluate(
        self, task: T, labels: Array, logits: Tensor, moved: Tensor | None = None
    ) -> Evaluation:
        """Compare a model's logits on some rows with their labels.

        Args:
            task: of this kind.
            labels: the rows' targets as the store keeps them; unused without labels.
            logits: [rows, outputs] or [rows, most, outputs]; losses of texts without labels.
            moved: the same, by thresholds that other rows chose; None: as the task decodes them.
        """

    def metric(self, task: T, labels: Array, logits: Tensor, halves: Array | None = None) -> float:
        """Return the task's metric alone; arguments as `evaluate`.

        Args:
            halves: 0 or 1 [rows], where logits come from two choices (`metrics.crossfit_value`).
        """
        return self.evaluate(task, labels, logits).metric

    def text_losses(self, task: T, passes: TextPasses) -> Tensor:
        """Return each text's loss in an evaluation, [rows], for a kind without labels."""
        raise NotImplementedError
