"""What may be wrong with a `[tasks.NAME]` of several kinds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from accord.kinds._names import texts_of
from accord.spelling import canonical_label

if TYPE_CHECKING:
    from accord.config.tasks import TaskConfig


def shape_faults(section: TaskConfig) -> Iterator[str]:
    """Yield what is wrong with a section's texts, their encoding and the head."""
    texts, columns = texts_of(section.kind), section.text_columns
    if len(columns) != texts:
        wanted = "two columns" if texts == 2 else "one column"
        yield f"text: kind '{section.kind}' takes {wanted}, got {len(columns)}"
    if texts == 1 and section.encoding == "separate":
        yield f"encoding: 'separate' is for pairs, but kind is '{section.kind}'"
    if section.head == "cosine" and section.encoding != "separate":
        yield "head: 'cosine' needs encoding = 'separate'"
    if section.head == "cosine" and section.loss not in (None, "mse"):
        yield f"loss: head 'cosine' takes 'mse' alone, got '{section.loss}'"


def metric_faults(section: TaskConfig, metrics: Sequence[str]) -> Iterator[str]:
    """Yield why a section's metric is none of the kind's."""
    if section.metric and section.metric not in metrics:
        shown = ", ".join(metrics)
        yield f"metric: kind '{section.kind}' is evaluated by {shown}, got '{section.metric}'"


def class_faults(section: TaskConfig, least: int) -> Iterator[str]:
    """Yield what is wrong with the names of classes, and which keys are a regression's alone."""
    yield from foreign_faults(section, "targets", "range")
    if section.labels is None:
        return
    names = [canonical_label(str(label)) for label in section.labels]
    if len(names) < least or len(set(names)) < len(names) or "" in names:
        wanted = "two or more" if least == 2 else "one or more"
        yield f"labels: takes {wanted} different names, got {section.labels}"
    for label in sorted(section.missing_labels.intersection(names)):
        yield f"missing: '{label}' is one of 'labels' too; a label is either"


def foreign_faults(section: TaskConfig, *keys: str) -> Iterator[str]:
    """Yield which of some keys are set that are other kinds' alone."""
    for key in keys:
        value = getattr(section, key)
        if value is None or (key, value) == ("targets", "range"):
            continue
        shown = " 'popart'" * (key == "targets")
        yield f"{key}:{shown} is for {_OF[key]}, but kind is '{section.kind}'"


_OF = {
    "targets": "regression", "range": "regression", "labels": "classification",
    "positive": "classification",
}  # fmt: skip


def only_faults(section: TaskConfig, **only: str) -> Iterator[str]:
    """Yield which keys have another value than the one that a kind takes."""
    for key, wanted in only.items():
        value = getattr(section, key)
        if value not in (None, wanted):
            yield f"{key}: kind '{section.kind}' takes '{wanted}', got '{value}'"
