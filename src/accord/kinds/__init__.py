"""Kinds of task: what a label is, what the encoder reads of a row, the head, loss and metrics.

Each kind is one file in this folder, named as the config spells it with `_` for `-`, that ends in
`KIND`, an object of `Kind`. A kind without labels is a `Kind`; one with labels a `LabelledKind`,
whose every answer that differs between kinds is a method. To add one, write that file and its cases
in `tests/kinds/`: config, data, training, evaluation, predictions and reports take it from there,
and `tests/kinds/test_laws.py` and `test_step_laws.py` hold it to what every kind must satisfy. No
other file asks of which kind a task is. A kind whose rows may hold pairs is also spelt with `pair-`
before its name.

Nothing here imports torch before a tensor is there: the config asks kinds for its keys.
"""

from accord.kinds._context import (
    Evaluation,
    HeadContext,
    Hiding,
    TextPasses,
    TrainingLabels,
)
from accord.kinds._kind import Kind, Layout
from accord.kinds._labelled import Answers, LabelledKind, Summary
from accord.kinds._names import spelt, texts_of
from accord.kinds._registry import (
    all_kinds,
    get_kind,
    is_kind,
    is_unlabelled,
    kind_names,
    kind_of,
    labelled_kind,
    takers_of_lists,
    task_section,
)
from accord.kinds._targets import TargetForm
from accord.kinds._thresholds import moved

__all__ = [
    "Answers",
    "Evaluation",
    "HeadContext",
    "Hiding",
    "Kind",
    "LabelledKind",
    "Layout",
    "Summary",
    "TargetForm",
    "TextPasses",
    "TrainingLabels",
    "all_kinds",
    "get_kind",
    "is_kind",
    "is_unlabelled",
    "kind_names",
    "kind_of",
    "labelled_kind",
    "moved",
    "spelt",
    "takers_of_lists",
    "task_section",
    "texts_of",
]
