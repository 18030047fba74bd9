"""Guesses from files which task they hold: splits, columns, kind, labels or range; and why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from accord.data.columns import find_labels, find_roles, read_columns
from accord.data.resolving import MOST_LABELS, sort_labels
from accord.data.surveying import MOST_CLASSES, LabelSurvey
from accord.errors import DataError
from accord.tasks import Kind

_SPLIT_WORDS = {
    "train": "train", "training": "train", "trn": "train",
    "dev": "dev", "develop": "dev", "valid": "dev", "validation": "dev", "val": "dev",
    "eval": "dev", "test": "test", "testing": "test",
}  # fmt: skip
_TEST_WORDS = {"student", "unlabelled", "unlabeled"}  # stand beside `test` in a name
_SAMPLE_ROWS = 5_000


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
    missing: tuple[str, ...] = ()
    reasons: list[str] = field(default_factory=list)


def guess_tasks(paths: Sequence[Path]) -> list[GuessedTask]:
    """Guess the tasks that files hold.

    Files whose names differ by words such as train, dev and test alone are one task's splits; where
    they have several label columns each is a task, named after its column.

    Raises:
        DataError: a file can't be read, a task has no training file, or no column looks like
            its text or its label.
    """
    groups = group_files(paths)
    tasks = {name: _guess_all(name, files) for name, files in groups.items()}
    names = {name for name, own in tasks.items() if len(own) == 1}
    return [
        replace(task, name=_new_name(task, names)) if len(own) > 1 else task
        for own in tasks.values() for task in own
    ]  # fmt: skip


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


def _new_name(task: GuessedTask, names: set[str]) -> str:
    """Return a name after the task's column, and its files if need be; it is added to `names`."""
    column = _as_name(task.label)
    name = column if column not in names else f"{task.name}-{column}"
    while name in names:
        name += "-2"
    names.add(name)
    return name


def _guess_all(name: str, files: dict[str, Path]) -> list[GuessedTask]:
    """Return a task of each label column, with the reasons why other columns are none."""
    columns = read_columns(files["train"], _SAMPLE_ROWS)
    role = find_roles(files["train"], columns)
    found = find_labels(columns, role)
    labels, left = [], found.left
    for label in found.labels:
        if reason := _no_label(LabelSurvey(files, label), label in found.named):
            left[label] = reason
        else:
            labels.append(label)
    if labels in ([], [role.label]):
        first, *others = [_guess(name, files)]
    else:
        first, *others = [_guess(name, files, label) for label in labels]
    reasons = [f"left '{column}': {why}" for column, why in left.items() if column != first.label]
    return [replace(first, reasons=[*first.reasons, *reasons]), *others]


def _no_label(found: LabelSurvey, named: bool) -> str:
    """Return why a column's values are no labels; empty if they may be."""
    if len(found.labels) < 2:
        return "it holds one value alone" if found.labels else "it holds no value"
    most = MOST_LABELS if named else MOST_CLASSES
    if found.classes and len(found.labels) > most:
        return f"it holds more than {most} different names"
    many = found.whole and not found.classes and not named
    return "it holds many different whole numbers" if many else ""


def _guess(name: str, files: dict[str, Path], label: str | None = None) -> GuessedTask:
    """Guess the task of a label column; None takes the one that looks most like it."""
    columns = read_columns(files["train"], _SAMPLE_ROWS)
    role = find_roles(files["train"], columns)
    if label is not None:
        reason = f"label '{label}', one of the columns that look like labels"
        role = replace(role, label=label, reasons=[role.reasons[0], reason, *role.reasons[2:]])
    found = LabelSurvey(files, role.label)
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
        missing=tuple(found.missing),
        reasons=[*role.reasons, _kind_reason(role.label, found), *found.reasons],
    )


def _kind(texts: int, classification: bool) -> Kind:
    if texts == 2:
        return "pair-classification" if classification else "pair-regression"
    return "classification" if classification else "regression"


def _kind_reason(column: str, found: LabelSurvey) -> str:
    kind = "classification" if found.classes else "regression"
    return f"{kind}, because '{column}' {found.kind_reason}"
