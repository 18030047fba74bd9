"""`[tasks.NAME]`: what a task takes, labelled or not, with its defaults and meaning."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from accord.config.base import Fraction, PositiveInt, Section
from accord.data.textfiles import DelimiterName, QuotingName, encoding_fault
from accord.metrics import all_metrics
from accord.spelling import canonical_label

Encoding = Literal["joint", "separate"]
HeadKind = Literal["linear", "cosine"]
Pooling = Literal["cls", "pooler", "mean"]
Targets = Literal["range", "popart"]

# How a task's files are read, with labels or without.
Files = str | list[str] | None
Delimiter = Annotated[
    DelimiterName | None,
    Field(
        description="What separates the columns; default: what the header line and the first"
        " rows use."
    ),
]
Quoting = Annotated[
    QuotingName | None,
    Field(
        description="'csv': quotes as csv writers use them, doubled inside a field, which may"
        " hold line ends; 'none': quotes are ordinary characters; default: as 'csv', but a quoted"
        " field that spans lines which look like rows of their own is refused."
    ),
]
FileEncoding = Annotated[
    str | None,
    Field(
        description="Encoding of text files, by Python's name for it, such as 'cp1252', 'latin-1'"
        " or 'utf-16-le'; default: UTF-8, or what a byte order mark says."
    ),
]
Limit = Annotated[
    PositiveInt | None,
    Field(
        description="Use at most this many rows of each split's files, from the top, for a quick"
        " try; the files are still read in full once."
    ),
]
Group = Annotated[
    str | None,
    Field(
        description="Column, such as a user's id, whose rows with the same value are all dev or"
        " all not, where dev is a share of `train`; default, and for rows without a value: the"
        " row's text or pair, ignoring case and white space."
    ),
]
OnBadRow = Annotated[
    Literal["stop", "skip"],
    Field(description="What to do with a row that can't be used; skipped rows are counted."),
]


_METRICS = [metric for metric in all_metrics() if metric.of != "losses"]
if TYPE_CHECKING:
    MetricName = str
else:
    MetricName = Literal[tuple(metric.name for metric in _METRICS)]
LossKey = Annotated[
    Literal["cross_entropy", "binary_cross_entropy", "mse"] | None,
    Field(
        description="Default: cross_entropy for classification, binary_cross_entropy for"
        " multi-label, mse for regression."
    ),
]
MetricKey = Annotated[
    MetricName | None,
    Field(
        description="; ".join(f"'{metric.name}': {metric.meaning}" for metric in _METRICS)
        + "; default: accuracy for classification, micro_f1 for multi-label, quadratic_kappa for"
        " ordinal, pearson for regression."
    ),
]
ClassWeightsKey = Annotated[
    Literal["balanced"] | dict[str, float] | None,
    Field(
        description="Weight of each class's rows in the training loss: 'balanced', n / (K n_c)"
        " for K classes with n_c of the n training rows each; or a table of weights by class, used"
        " as they are, 1 for those that it doesn't name. For a multi-label task, the weight of the"
        " rows that have a label in that label's part of the loss: 'balanced', the number of rows"
        " without it over the number with it. Default: all 1."
    ),
]
LabelSmoothingKey = Annotated[
    Fraction,
    Field(
        description="ε of label smoothing (Szegedy et al. 2016): the training loss compares with"
        " (1 - ε) of the label and ε spread over all K classes. With cross_entropy only."
    ),
]
DrawKey = Annotated[
    Literal["shuffled", "balanced"],
    Field(
        description="How a step's rows of the task are drawn: 'shuffled', every row once before any"
        " again; 'balanced', every class equally often, each class's rows once before any of them"
        " again. An epoch has as many examples either way.",
    ),
]


class TaskConfig(Section):
    """What `[tasks.NAME]` takes for a task with labels: its files, columns, labels, loss and head.

    A kind's own section is made of it in the kind's file, with what may be wrong there.
    """

    kind: str
    train: Files = Field(
        None, description="Labelled training file; or a list of files, a pattern such as"
        " `data/train-*.parquet`, or a folder of files of one split."
    )  # fmt: skip
    dev: Files = Field(
        None,
        description="Labelled dev file or files; default: a share of `train`, drawn by content.",
    )
    test: Files = Field(None, description="Unlabelled file or files to predict after training.")
    text: str | list[str] = Field(
        description="Column of the text; for a pair a list of two columns."
    )
    label: str = Field(
        "label",
        description="Column of the label; for a multi-label task the column of its labels, or a"
        " list of columns that hold 0 or 1, each named after its label.",
    )
    id: str | None = Field(
        None,
        description="Column of the row's id; without one, predictions name each row by its line.",
    )
    group: Group = None
    labels: list[str | bool | int] | None = Field(
        None,
        description="Class names in order; default: those of the training file, sorted, or in the"
        " order in which a Parquet file names its classes (a `ClassLabel` of `datasets`).",
    )
    missing: list[str | int | float | bool] = Field(
        default=[],
        description="What the label's column holds where a row has no label, such as '' or -1: such"
        " rows of train and dev are left out, and counted.",
    )
    range: list[float | int] | None = Field(
        None,
        description="[lowest, highest] of a regression's targets; default: the training file's,"
        " of which dev rows may be a share.",
    )
    delimiter: Delimiter = None
    quoting: Quoting = None
    file_encoding: FileEncoding = None
    limit: Limit = None
    on_bad_row: OnBadRow = "stop"
    unlabelled: Literal["stop", "skip"] | None = Field(
        None,
        description="What to do with a row whose label is empty: leave it out of this task and"
        " count it ('skip'), or raise an error ('stop'); default: 'skip' where several tasks name"
        " the same file.",
    )
    apart: bool | None = Field(
        None,
        description="Whether the task's rows are packed separately even if other tasks read the"
        " same ones; default: only where each task's gradient is needed.",
    )
    loss: str | None = None
    metric: str | None = None
    positive: str | int | None = Field(
        None,
        description="The class that F1 is computed for; default: of two labels 1, yes, true or"
        " positive, or with metric 'f1' the rarer one in `train`.",
    )
    encoding: Encoding = Field(
        "joint", description="A pair as one sequence ('joint') or each text alone ('separate')."
    )
    head: HeadKind = Field("linear", description="'cosine' compares separately encoded texts.")
    pooling: Pooling = Field("cls", description="Which part of the encoder's output the head sees.")
    dropout: Fraction = Field(0.1, description="Dropout before the head's linear layer.")
    targets: Targets = Field(
        "range",
        description="What a regression's head learns: values scaled to [0, 1] by their range, or"
        " 'popart', in units of the targets' own moving spread.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for fault in (*_group_faults(self), *_file_faults(self), *self.faults()):
            raise ValueError(fault)
        return self

    def faults(self) -> Iterator[str]:
        """Yield what is wrong for a task of this kind."""
        yield from ()

    @property
    def label_columns(self) -> tuple[str, ...]:
        """The columns that a row's target is read from."""
        return (self.label,)

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The text columns, one or two."""
        return (self.text,) if isinstance(self.text, str) else tuple(self.text)

    @cached_property
    def missing_labels(self) -> frozenset[str]:
        """The canonical spellings of what `missing` names."""
        return frozenset(canonical_label(str(label)) for label in self.missing)


def _group_faults(task: AnyTaskConfig) -> Iterator[str]:
    """Yield why no rows are split by group."""
    if task.group is not None and task.dev is not None:
        yield "group: says which rows of train may be dev, but dev names a file; leave one out"


def _file_faults(task: AnyTaskConfig) -> Iterator[str]:
    """Yield what is wrong with the keys that name files and say how they are read."""
    for key in ("train", "dev", "test"):
        if getattr(task, key, None) == []:
            yield f"{key}: is an empty list of files"
    if fault := encoding_fault(task.file_encoding):
        yield f"file_encoding: {fault}"


class AuxiliaryConfig(Section):
    """What `[tasks.NAME]` takes for a task without labels: where its texts come from."""

    kind: str
    train: Files = Field(
        None, description="File or files of training texts; default: the texts of other tasks."
    )
    dev: Files = Field(
        None,
        description="File or files of dev texts; default: a share of `train`, drawn by content.",
    )
    text: str | list[str] | None = Field(
        None, description="Column of `train`'s texts, or several: each holds texts of its own."
    )
    texts_of: list[str] | None = Field(
        None,
        description="Labelled tasks whose training texts are learnt from, and on whose dev texts"
        " the task is evaluated; default, without `train`: all in the config.",
    )
    group: Group = None
    delimiter: Delimiter = None
    quoting: Quoting = None
    file_encoding: FileEncoding = None
    limit: Limit = None
    on_bad_row: OnBadRow = "stop"

    @model_validator(mode="after")
    def _has_texts(self) -> Self:
        for fault in (*_group_faults(self), *_file_faults(self), *_text_faults(self)):
            raise ValueError(fault)
        return self

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The text columns of its own file."""
        return (self.text,) if isinstance(self.text, str) else tuple(self.text or ())


def _text_faults(task: AuxiliaryConfig) -> Iterator[str]:
    """Yield what is wrong with where the texts of a task come from."""
    if task.train is None:
        of_file = (
            "text", "dev", "group", "delimiter", "quoting", "file_encoding", "limit", "on_bad_row",
        )  # fmt: skip
        for key in of_file:
            if getattr(task, key) != AuxiliaryConfig.model_fields[key].default:
                yield f"{key}: is for a file of the task's own, but there is no train"
    else:
        if task.texts_of is not None:
            yield "texts_of: is set, and train too; one of them says where texts come from"
        if not task.text_columns:
            yield "text: is missing: the column of train's texts, or several"
        elif len(set(task.text_columns)) < len(task.text_columns):
            yield f"text: names a column twice: {', '.join(task.text_columns)}"
    if task.texts_of is not None and not task.texts_of:
        yield "texts_of: is empty: at least one task is needed"
    if task.texts_of is not None and len(set(task.texts_of)) < len(task.texts_of):
        yield f"texts_of: names a task twice: {', '.join(task.texts_of)}"


AnyTaskConfig = TaskConfig | AuxiliaryConfig
