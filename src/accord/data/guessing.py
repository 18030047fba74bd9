"""Guesses from files which task they hold: splits, columns, kind, labels or range; and why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from accord.data.columns import find_roles, read_columns
from accord.data.examples import parse_number
from accord.data.reading import open_rows
from accord.data.resolving import MOST_LABELS, sort_labels
from accord.errors import DataError
from accord.tasks import Kind, canonical_label

_SPLIT_WORDS = {
    "train": "train", "training": "train", "trn": "train",
    "dev": "dev", "develop": "dev", "valid": "dev", "validation": "dev", "val": "dev",
    "eval": "dev", "test": "test", "testing": "test",
}  # fmt: skip
_TEST_WORDS = {"student", "unlabelled", "unlabeled"}  # stand beside `test` in a name
_SAMPLE_ROWS = 5_000
_MOST_CLASSES = 20


@dataclass(frozen=True)
class GuessedTask:
    """A task as the files suggest it; `reasons` says why, a line each."""

    name: str
    kind: Kind
    files: dict[str, Path]
    text: tuple[str, ...]
    label: str
    id: str | None
    labels: tuple[str, ...] = ()
    range: tuple[float, float] = (0.0, 1.0)
    reasons: list[str] = field(default_factory=list)


@dataclass
class _Labels:
    """What a label column holds; `labels` stops growing one past the most there may be."""

    labels: set[str] = field(default_factory=set)
    numeric: bool = True
    whole: bool = True
    lowest: float = inf
    highest: float = -inf

    @property
    def classes(self) -> bool:
        """Whether the values look like classes: names, or few whole numbers."""
        return not self.numeric or (self.whole and len(self.labels) <= _MOST_CLASSES)

    def add(self, label: str) -> None:
        if len(self.labels) <= MOST_LABELS:
            self.labels.add(label)
        try:
            number = parse_number(label)
        except ValueError:
            self.numeric = False
            return
        self.whole = self.whole and number.is_integer()
        self.lowest, self.highest = min(self.lowest, number), max(self.highest, number)


def guess_tasks(paths: Sequence[Path]) -> list[GuessedTask]:
    """Guess the tasks that files hold.

    Files whose names differ by words such as train, dev and test alone are one task's splits.

    Raises:
        DataError: a file can't be read, a task has no training file, or no column looks like
            its text or its label.
    """
    return [_guess(name, files) for name, files in group_files(paths).items()]


def group_files(paths: Sequence[Path]) -> dict[str, dict[str, Path]]:
    """Return for each task's name its files by split.

    Raises:
        DataError: two files look like the same split of one task, or a task has no training file.

    Example:
        >>> groups = group_files([Path("sst-train.csv"), Path("sst-test-student.csv")])
        >>> {task: list(files) for task, files in groups.items()}
        {'sst': ['train', 'test']}
    """
    groups: dict[tuple[Path, str], dict[str, Path]] = {}
    for path in paths:
        split, stem = _split_and_stem(path)
        files = groups.setdefault((path.parent, stem), {})
        if split in files:
            raise DataError(f"{path}: looks like the {split} file of '{stem}', as {files[split]}")
        files[split] = path
    named: dict[str, dict[str, Path]] = {}
    for (parent, stem), files in groups.items():
        if "train" not in files:
            first = next(iter(files.values()))
            raise DataError(f"{first}: no training file beside it; name that of '{stem}' too")
        name = stem if stem not in named else _as_name(f"{parent.absolute().name}-{stem}")
        while name in named:
            name += "-2"
        named[name] = files
    return named


def _split_and_stem(path: Path) -> tuple[str, str]:
    words = [word for word in re.split(r"[-_. ]+", path.stem) if word]
    splits = [_SPLIT_WORDS[word.lower()] for word in words if word.lower() in _SPLIT_WORDS]
    split = splits[-1] if splits else "train"
    dropped = set(_SPLIT_WORDS) | (_TEST_WORDS if split == "test" else set())
    stem = "-".join(word for word in words if word.lower() not in dropped)
    return split, _as_name(stem or path.absolute().parent.name)


def _as_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-_").lower() or "task"


def _guess(name: str, files: dict[str, Path]) -> GuessedTask:
    columns = read_columns(files["train"], _SAMPLE_ROWS)
    role = find_roles(files["train"], columns)
    found = _survey(files, role.label)
    if found.classes and len(found.labels) > MOST_LABELS:
        raise DataError(
            f"{files['train']}: column '{role.label}' holds more than {MOST_LABELS} different "
            "values, so it is no label; name the label's column 'label'"
        )
    return GuessedTask(
        name=name,
        kind=_kind(len(role.text), found.classes),
        files={split: files[split] for split in ("train", "dev", "test") if split in files},
        text=role.text,
        label=role.label,
        id=role.id,
        labels=tuple(sort_labels(found.labels)) if found.classes else (),
        range=(0.0, 1.0) if found.classes else (found.lowest, found.highest),
        reasons=[*role.reasons, _kind_reason(role.label, found)],
    )


def _kind(texts: int, classification: bool) -> Kind:
    if texts == 2:
        return "pair-classification" if classification else "pair-regression"
    return "classification" if classification else "regression"


def _kind_reason(column: str, found: _Labels) -> str:
    if not found.classes:
        what = "many different values" if found.whole else "decimals"
        return f"regression, because '{column}' holds numbers with {what}"
    values = "whole numbers" if found.numeric else "names"
    return f"classification, because '{column}' holds {len(found.labels)} different {values}"


def _survey(files: dict[str, Path], column: str) -> _Labels:
    """Return what the label column holds in train and, where it has one, dev."""
    found = _Labels()
    for split in ("train", "dev"):
        if split not in files:
            continue
        reader = open_rows(files[split])
        for row in reader.rows([column]) if column in reader.columns else ():
            if row.values is not None and row.values[column].strip():
                found.add(canonical_label(row.values[column]))
    return found
