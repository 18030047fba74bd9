"""What kinds of task are given beside a task and its rows, and what they say of an evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from accord.metrics import ByClass
from accord.showing import Part, Shown, Table

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Parameter

    from accord.encoders.packing import PackedWords, TokenSequence
    from accord.encoders.units import Units
    from accord.kernels.dropout import DropoutKey
    from accord.kinds._targets import Array


@dataclass(frozen=True)
class Hiding:
    """What a kind needs that hides words of its texts.

    Attributes:
        mask: id of [MASK]; None where the vocabulary has none.
        vocabulary: words are drawn from the ids below it.
        key: names the draws.
        first: place of the first text among those that the key is for.
    """

    mask: int | None
    vocabulary: int
    key: Sequence[int]
    first: int = 0


@dataclass(frozen=True)
class HeadContext:
    """What a head may need beside the encoder's vectors.

    Attributes:
        key: names its dropout mask; None is evaluation.
        words: what the masked words were; None where none are.
        table: the word embeddings that the task's texts go through.
        units: where each vector belongs, for a kind whose examples have several.
    """

    key: DropoutKey | None
    words: PackedWords | None
    table: Parameter
    units: Units | None = None


@dataclass(frozen=True, repr=False)
class Evaluation(Shown):
    """How a model did on one task's split.

    Attributes:
        metric: the task's own metric.
        figures: all metrics that fit the task, the task's own of the best constant prediction, and
            the mean loss.
        logits: float32 [rows, outputs], or [rows, most, outputs] of rows with several units.
        remark: says so where a constant prediction is as good.
        classes: of each class; None without classes.
    """

    metric: float
    figures: dict[str, float]
    logits: Tensor
    remark: str = ""
    classes: ByClass | None = None

    def shown(self) -> Iterator[Part]:
        """Yield its figures."""
        rows = [(name, f"{value:z.4f}") for name, value in self.figures.items()]
        yield Table(("metric", "value"), rows=[*rows])
        if self.remark:
            yield self.remark


class TrainingLabels(Protocol):
    """The labels of a task's training file, for what the config leaves open."""

    def require(self, key: str) -> None:
        """Raise a ConfigError where there is no file to take a key's value from."""

    def labels(self) -> Iterator[str]:
        """Yield the label, canonically spelt, of every row that has its texts and a label; nothing
        where there is no file.

        Raises:
            ConfigError: at the end, if they are lists, all of them.
        """

    def cells(self) -> Iterator[str | list[Any]]:
        """Yield these labels and, in their places, those that are lists, as `Row` has them."""

    def class_names(self) -> Sequence[str]:
        """Return the classes that the file itself names, canonically spelt; mostly none."""

    def __str__(self) -> str:
        """Return how messages name the file."""


class TextPasses(Protocol):
    """Passes over a split's texts without gradients, for kinds that are evaluated by their loss."""

    def __len__(self) -> int:
        """Return how many texts there are."""

    def chunks(self) -> Iterator[range]:
        """Yield all rows, neighbours together, as many at once as fit memory."""

    def sequences(self, rows: Sequence[int] | Array) -> list[TokenSequence]:
        """Return the sequences of some rows."""

    def hiding(self, first: int) -> Hiding:
        """Return what hides the same words of each text in every evaluation."""

    def alone(self, sequences: Sequence[TokenSequence], masked_share: float) -> Tensor:
        """Return each text's loss, [n], no text looking at another; `masked_share` of their tokens
        have a logit for every word."""

    def together(self, sequences: Sequence[TokenSequence], number: int) -> Tensor:
        """Return each text's loss among the others, [n], under the numbered dropout masks."""
