"""Warnings about a task's classes: spelt in two ways, or without training rows."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from accord.data.labels import parse_number, quoted
from accord.data.loader import TaskData
from accord.data.store import TokenStore
from accord.kinds import labelled_kind


@dataclass(frozen=True)
class ClassRows:
    """The rows of a split that have one label: how many, and where the first stands."""

    rows: int
    first: str


def class_rows(part: TaskData) -> dict[str, ClassRows]:
    """Return the rows of each class that a split has."""
    store, task = part.store, part.task
    assert isinstance(store, TokenStore)  # labelled tasks have files
    rows = labelled_kind(task).rows_of_classes(task, part.labels)
    return {
        label: ClassRows(len(row), store.where(part.rows[row[0]]))
        for label, row in zip(task.labels, rows, strict=True)
        if len(row)
    }


def label_warnings(
    labels: Sequence[str], train: Mapping[str, ClassRows], dev: Mapping[str, ClassRows]
) -> Iterator[tuple[str, str, str]]:
    """Yield each warning as its place, what it is and its cure.

    Args:
        labels: the task's classes.
        train: the training rows of each class that has any.
        dev: the dev rows.
    """
    for label in labels:
        if label not in train:
            yield _untrained(label, dev.get(label))
    for variants in _variants(labels):
        yield _spelt_twice(variants, [train, dev])


def _untrained(label: str, dev: ClassRows | None) -> tuple[str, str, str]:
    if dev is None:
        return (
            "labels", f"no row has the label {quoted(label)}",
            "take it out, or mend its spelling",
        )  # fmt: skip
    rows = f"{dev.rows:,} dev row" + "s" * (dev.rows != 1)
    return (
        dev.first,
        f"label {quoted(label)} stands in no training row, but in {rows}: it can't be learnt",
        "mend its spelling, give train such rows, or take it out of dev",
    )


def _variants(labels: Sequence[str]) -> list[list[str]]:
    groups: dict[str | float, list[str]] = {}
    for label in labels:
        groups.setdefault(_plain(label), []).append(label)
    return [group for group in groups.values() if len(group) > 1]


def _plain(label: str) -> str | float:
    """Return what labels have in common that differ in case, composition, spaces or zeros alone."""
    try:
        return parse_number(label)
    except ValueError:
        composed = unicodedata.normalize("NFC", label).casefold()
    kept = [c for c in composed if not c.isspace() and unicodedata.category(c) not in ("Cf", "Cc")]
    return unicodedata.normalize("NFC", "".join(kept))


def _spelt_twice(
    variants: Sequence[str], splits: Sequence[Mapping[str, ClassRows]]
) -> tuple[str, str, str]:
    rows = {label: _rows(label, splits) for label in variants}
    order = sorted(variants, key=lambda label: -rows[label][1])
    shown = " and ".join(f"{quoted(label)} ({rows[label][1]:,} rows)" for label in order)
    where = rows[order[-1]][0]
    by = "how the number is spelt" if isinstance(_plain(variants[0]), float) else "case or spaces"
    if len({unicodedata.normalize("NFC", label) for label in variants}) == 1:
        by = "Unicode composition (NFC, NFD)"
    return (
        where,
        f"labels {shown} differ in {by} alone, and are {len(variants)} classes",
        "if they are one, spell them alike in the files and in 'labels'",
    )


def _rows(label: str, splits: Sequence[Mapping[str, ClassRows]]) -> tuple[str, int]:
    """Return where a label stands first, and in how many rows."""
    counts = [split[label] for split in splits if label in split]
    return (counts[0].first if counts else "labels"), sum(seen.rows for seen in counts)
