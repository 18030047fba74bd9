"""`[tasks.NAME]`: what a task takes, labelled or not, with its defaults and meaning."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from math import inf
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from accord.config.base import Fraction, PositiveFloat, PositiveInt, Section
from accord.data.textfiles import DelimiterName, QuotingName, encoding_fault
from accord.tasks import (
    CLASS_METRICS,
    VALUE_METRICS,
    AuxiliaryKind,
    Encoding,
    HeadKind,
    Kind,
    Loss,
    Metric,
    Pooling,
    Targets,
    canonical_label,
)

# How a task's files are read, with labels or without.
Files = str | list[str] | None
Delimiter = Annotated[
    DelimiterName | None,
    Field(description="Default: what the header line and the first rows use."),
]
Quoting = Annotated[
    QuotingName | None,
    Field(
        description="'csv': doubled quotes as csv writers make them, which may hold line ends;"
        " 'none': quotes are text; default: as 'csv', but lines that a quote makes one row and that"
        " read as rows each are refused."
    ),
]
FileEncoding = Annotated[
    str | None,
    Field(
        description="Of text files, as Python names it, such as 'cp1252', 'latin-1' or"
        " 'utf-16-le'; default: UTF-8, or what a byte order mark says."
    ),
]
Limit = Annotated[
    PositiveInt | None,
    Field(
        description="Use at most so many rows of each split's files, the first ones, for a quick"
        " try; the files are read whole all the same, once."
    ),
]
Group = Annotated[
    str | None,
    Field(
        description="Column, as of users, whose rows of one value are all dev or all not, where dev"
        " is a share of `train`; default, and of a row without a value: its text or pair, blind to"
        " case and white space."
    ),
]
OnBadRow = Annotated[
    Literal["stop", "skip"],
    Field(description="What a row that can't be used does; skipped rows are counted."),
]


class TaskConfig(Section):
    """`[tasks.NAME]`: the task's files, columns, labels, loss and head."""

    kind: Kind
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
    label: str = Field("label", description="Column of the label.")
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
    loss: Loss | None = Field(
        None, description="Default: cross_entropy for classification, mse for regression."
    )
    metric: Metric | None = Field(
        None,
        description="'f1' is of the class `positive`, 'macro_f1' the mean over all classes;"
        " default: accuracy for classification, pearson for regression.",
    )
    positive: str | int | None = Field(
        None,
        description="The class whose F1 is meant; default: of two labels 1, yes, true or positive,"
        " or under metric 'f1' the rarer one in `train`.",
    )
    encoding: Encoding = Field(
        "joint", description="A pair as one sequence ('joint') or each text alone ('separate')."
    )
    head: HeadKind = Field("linear", description="'cosine' compares separately encoded texts.")
    pooling: Pooling = Field("cls", description="What of the encoder's output the head sees.")
    dropout: Fraction = Field(0.1, description="Dropout before the head's linear layer.")
    targets: Targets = Field(
        "range",
        description="What a regression's head learns: values scaled to [0, 1] by their range, or"
        " 'popart', in units of the targets' own moving spread.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for fault in (
            *_group_faults(self),
            *_file_faults(self),
            *_shape_faults(self),
            *_popart_faults(self),
            *_target_faults(self),
        ):
            raise ValueError(fault)
        return self

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The text columns, one or two."""
        return (self.text,) if isinstance(self.text, str) else tuple(self.text)

    @cached_property
    def missing_labels(self) -> frozenset[str]:
        """The canonical spellings of what `missing` names."""
        return frozenset(canonical_label(str(label)) for label in self.missing)


def _group_faults(task: TaskConfig | AuxiliaryConfig) -> Iterator[str]:
    """Yield why no rows are split by group."""
    if task.group is not None and task.dev is not None:
        yield "group: says which rows of train may be dev, but dev names a file; leave one out"


def _file_faults(task: AnyTaskConfig | AuxiliaryConfig) -> Iterator[str]:
    """Yield what is wrong with the keys that name files and say how they are read."""
    for key in ("train", "dev", "test"):
        if getattr(task, key, None) == []:
            yield f"{key}: is an empty list of files"
    if fault := encoding_fault(task.file_encoding):
        yield f"file_encoding: {fault}"


def _shape_faults(task: TaskConfig) -> Iterator[str]:
    """Yield what is wrong with the texts, their encoding and the head."""
    pair = task.kind.startswith("pair-")
    columns = task.text_columns
    if len(columns) != (2 if pair else 1):
        wanted = "two columns" if pair else "one column"
        yield f"text: kind '{task.kind}' takes {wanted}, got {len(columns)}"
    if not pair and task.encoding == "separate":
        yield f"encoding: 'separate' is for pairs, but kind is '{task.kind}'"
    if task.head == "cosine" and task.encoding != "separate":
        yield "head: 'cosine' needs encoding = 'separate'"
    if task.head == "cosine" and task.loss not in (None, "mse"):
        yield f"loss: head 'cosine' takes 'mse' alone, got '{task.loss}'"


def _popart_faults(task: TaskConfig) -> Iterator[str]:
    """Yield why a task's head can't learn in units of its targets' spread."""
    if task.targets == "range":
        return
    if task.kind.endswith("classification"):
        yield f"targets: 'popart' is for regression, but kind is '{task.kind}'"
    elif task.loss not in (None, "mse") or task.head != "linear":
        yield "targets: 'popart' takes loss = 'mse' and head = 'linear'"


def _target_faults(task: TaskConfig) -> Iterator[str]:
    """Yield what is wrong with the labels or range, the loss and the metric."""
    classification = task.kind.endswith("classification")
    if not classification and task.loss == "cross_entropy":
        yield f"loss: 'cross_entropy' is for classification, but kind is '{task.kind}'"
    allowed = CLASS_METRICS if classification else VALUE_METRICS
    if task.metric and task.metric not in allowed:
        shown = ", ".join(allowed)
        yield f"metric: kind '{task.kind}' is judged by {shown}, got '{task.metric}'"
    yield from _label_faults(task, classification)
    if task.range is not None:
        if classification:
            yield f"range: is for regression, but kind is '{task.kind}'"
        # NaN is not below anything, so it fails here too.
        if len(task.range) != 2 or not -inf < task.range[0] < task.range[1] < inf:
            yield f"range: takes [lowest, highest], got {task.range}"


def _label_faults(task: TaskConfig, classification: bool) -> Iterator[str]:
    """Yield what is wrong with the names of classes."""
    if task.positive is not None and not classification:
        yield f"positive: is for classification, but kind is '{task.kind}'"
    if task.labels is not None:
        if not classification:
            yield f"labels: is for classification, but kind is '{task.kind}'"
        names = [canonical_label(str(label)) for label in task.labels]
        if len(names) < 2 or len(set(names)) < len(names) or "" in names:
            yield f"labels: takes two or more different names, got {task.labels}"
        for label in sorted(task.missing_labels.intersection(names)):
            yield f"missing: '{label}' is one of 'labels' too; a label is either"


class AuxiliaryConfig(Section):
    """What `[tasks.NAME]` takes for a task without labels: where its texts come from."""

    kind: AuxiliaryKind
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
        description="Labelled tasks whose training texts are learnt from, and whose dev texts are"
        " judged by; default, without `train`: all in the config.",
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

    @property
    def label(self) -> str:
        """There is no such column."""
        return ""

    @property
    def id(self) -> str | None:
        """There is no such column: rows are numbered."""
        return None

    @property
    def range(self) -> None:
        """There are no targets."""
        return


class MaskedLMConfig(AuxiliaryConfig):
    """`[tasks.NAME]` with `kind = "masked-lm"`."""

    kind: Literal["masked-lm"]
    mask_share: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.15, description="Share of a text's tokens to be told; of these 80 % are masked, 10 % are"
        " another word, and 10 % stay as they are."
    )  # fmt: skip


class SimCSEConfig(AuxiliaryConfig):
    """`[tasks.NAME]` with `kind = "simcse"`."""

    kind: Literal["simcse"]
    temperature: PositiveFloat = Field(0.05, description="What cosines are divided by.")
    pooling: Pooling = Field(
        "cls",
        description="What of the encoder's output is compared; 'cls' goes through a dense layer"
        " with tanh that only training has.",
    )


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


AnyTaskConfig = TaskConfig | MaskedLMConfig | SimCSEConfig
