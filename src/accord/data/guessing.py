"""Guesses from files which task they hold: splits, columns, kind, labels or range; and why."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from accord.data.candidate_columns import CandidateTask, find_candidates
from accord.data.columns import (
    Column,
    Role,
    check_header,
    find_labels,
    find_roles,
    read_columns,
    tag_columns,
)
from accord.data.datafiles import (
    SPLIT_WORDS,
    folder_files,
    format_suffix,
    missing_shards,
    shard,
    stem,
)
from accord.data.encodings import guess_encoding
from accord.data.files import DataFiles
from accord.data.labels import MOST_LABELS
from accord.data.surveying import MOST_CLASSES, LabelSurvey
from accord.errors import DataError
from accord.kinds import is_kind, spelt

_TEST_WORDS = {"student", "unlabelled", "unlabeled"}  # stand beside `test` in a name
_UNNAMED = {"ascii", "utf-8", "utf-8-sig", "utf-16", "utf-32"}  # found without being named
_SAMPLE_ROWS = 5_000


@dataclass(frozen=True)
class GuessedTask:
    """A task as the files suggest it; `reasons` says why, one line each.

    A split may be in several files; `file_encoding` is None for UTF-8. `columns` are those of 0 and
    1 for a label each, `options` keys of the kind alone.
    """

    name: str
    kind: str
    files: dict[str, tuple[Path, ...]]
    text: tuple[str, ...]
    label: str
    id: str | None
    file_encoding: str | None = None
    labels: tuple[str, ...] = ()
    range: tuple[float, float] | None = None
    missing: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)


def guess_tasks(paths: Sequence[Path]) -> list[GuessedTask]:
    """Guess the tasks that files, and the data files in folders, hold.

    Files whose names differ by words such as train, dev and test alone are one task's splits, and
    those that differ in a shard's number are one split. Where they have several label columns each
    is a task, named after its column.

    Raises:
        DataError: a file can't be read, a task has no training file, or no column looks like
            its text or its label.
    """
    files = [entry for path in paths for entry in (folder_files(path) if path.is_dir() else [path])]
    if not files:
        raise DataError(f"{paths[0]}: a folder without data files")
    tasks = {name: _guess_all(name, file) for name, file in group_files(files).items()}
    names = {name for name, task in tasks.items() if len(task) == 1}
    return [
        replace(task, name=_new_name(task, names)) if len(of_task) > 1 else task
        for of_task in tasks.values() for task in of_task
    ]  # fmt: skip


def group_files(paths: Sequence[Path]) -> dict[str, dict[str, tuple[Path, ...]]]:
    """Return for each task's name its files by split.

    Raises:
        DataError: two files look like the same split of one task, or a task has no training file.

    Example:
        >>> groups = group_files([Path("sst-train.csv"), Path("sst-test-student.csv")])
        >>> {task: list(files) for task, files in groups.items()}
        {'sst': ['train', 'test']}
    """
    groups: dict[tuple[Path, str], dict[str, tuple[Path, ...]]] = {}
    for path in paths:
        split, task = _split_and_task(path)
        files = groups.setdefault((path.parent, task), {})
        before = files.get(split, ())
        names = {parts[0] if (parts := shard(other)) else other.name for other in (path, *before)}
        if len(names) > 1 or (before and not shard(path)):
            raise DataError(f"{path}: looks like the {split} file of '{task}', as {before[0]}")
        files[split] = (*before, path)
    named: dict[str, dict[str, tuple[Path, ...]]] = {}
    for (parent, task), files in groups.items():
        if "train" not in files:
            first = next(iter(files.values()))[0]
            raise DataError(f"{first}: no training file beside it; name that of '{task}' too")
        name = task if task not in named else _as_name(f"{parent.absolute().name}-{task}")
        while name in named:
            name += "-2"
        named[name] = files
    return named


def _split_and_task(path: Path) -> tuple[str, str]:
    sharded = shard(path)
    words = [word for word in re.split(r"[-_. ]+", sharded[0] if sharded else stem(path)) if word]
    splits = [SPLIT_WORDS[word.lower()] for word in words if word.lower() in SPLIT_WORDS]
    split = splits[-1] if splits else "train"
    dropped = set(SPLIT_WORDS) | (_TEST_WORDS if split == "test" else set())
    task = "-".join(word for word in words if word.lower() not in dropped)
    return split, _as_name(task or path.absolute().parent.name)


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


@dataclass(frozen=True)
class _Table:
    """The files of one or several tasks: how they are read, their columns, and what was seen."""

    files: dict[str, DataFiles]
    encoding: str | None
    columns: Sequence[Column]
    role: Role
    reasons: list[str]
    candidates: CandidateTask | None

    def task(self, name: str, kind: str, role: Role, **more: Any) -> GuessedTask:
        """Return a task of these files and of columns that have a role."""
        return GuessedTask(
            name=name,
            kind=kind,
            files={split: files.paths for split, files in self.files.items()},
            text=role.text,
            id=role.id,
            file_encoding=self.encoding,
            **{"label": role.label, **more},
        )


def _read_table(paths: dict[str, tuple[Path, ...]]) -> _Table:
    """Read what all label columns of some files have in common.

    Raises:
        DataError: a file can't be read, its header looks like data, or no column like a text.
    """
    encoding, reasons = _encoding([path for of_file in paths.values() for path in of_file])
    order = sorted(paths, key=["train", "dev", "test"].index)
    files = {split: DataFiles(paths[split], encoding=encoding) for split in order}
    columns, rows = read_columns(files["train"], _SAMPLE_ROWS)
    candidates = find_candidates(columns, rows)
    try:
        sure = candidates is not None and candidates.sure
        role = candidates.role if candidates and sure else find_roles(files["train"], columns)
    except DataError:
        check_header(files["train"], columns, None)
        raise
    reasons += check_header(files["train"], columns, role)
    reasons += [
        f"{split}: {lacking}" for split, path in paths.items() if (lacking := missing_shards(path))
    ]
    return _Table(files, encoding, columns, role, reasons, candidates)


def _guess_all(name: str, paths: dict[str, tuple[Path, ...]]) -> list[GuessedTask]:
    """Return the one task of a text with candidates, or one of each label column."""
    table = _read_table(paths)
    found = table.candidates
    if found is not None and found.sure:
        return [_guess_candidates(name, table, found)]
    first, *others = _guess_labels(name, table)
    hint = [] if found is None else [f"perhaps {found.hint}"]
    return [replace(first, reasons=[*first.reasons, *hint]), *others]


def _guess_labels(name: str, table: _Table) -> list[GuessedTask]:
    """Return a task of each label column, with the reasons why other columns are none."""
    candidates = find_labels(table.columns, table.role)
    main = LabelSurvey(table.files, table.role.label)
    if main.comma:
        raise DataError(f"{table.files['train']}: column '{table.role.label}' {_commas(main)}")
    labels, left = dict[str, LabelSurvey](), candidates.left
    for label in candidates.labels:
        survey = main if label == table.role.label else LabelSurvey(table.files, label)
        if survey.lists:
            reason = "" if is_kind(_list_kind(table, label)) else "it holds lists"
        elif survey.separator:
            reason = ""
        else:
            reason = _no_label(survey, label in candidates.named)
        if reason:
            left[label] = reason
        else:
            labels[label] = survey
    if main.lists and not labels:
        raise DataError(
            f"{table.files['train']}: column '{table.role.label}' holds lists: no one label"
        )
    flags = [label for label, survey in labels.items() if survey.flags]
    if len(flags) > 1:
        first = _guess_flags(name, table, flags)
        others = [
            _guess(name, table, _role_of(table.role, label), survey)
            for label, survey in labels.items()
            if label not in flags
        ]
    elif list(labels) in ([], [table.role.label]):
        first, *others = [_guess(name, table, table.role, main)]
    else:
        first, *others = [
            _guess(name, table, _role_of(table.role, label), survey)
            for label, survey in labels.items()
        ]
    reasons = [f"left '{column}': {why}" for column, why in left.items() if column != first.label]
    return [replace(first, reasons=[*first.reasons, *table.reasons, *reasons]), *others]


def _role_of(role: Role, label: str) -> Role:
    reason = f"label '{label}', one of the columns that look like labels"
    return replace(role, label=label, reasons=[role.reasons[0], reason, *role.reasons[2:]])


def _no_label(survey: LabelSurvey, named: bool) -> str:
    """Return why a column's values are no labels; empty if they may be."""
    if len(survey.labels) < 2:
        return "it holds one value alone" if survey.labels else "it holds no value"
    if survey.comma:
        return f"it {_commas(survey)}"
    most = MOST_LABELS if named else MOST_CLASSES
    if survey.classes and len(survey.labels) > most:
        return f"it holds more than {most} different names"
    many = survey.integral and not survey.classes and not named
    return "it holds many different whole numbers" if many else ""


def _commas(survey: LabelSurvey) -> str:
    return f"holds numbers with a decimal comma, as '{survey.comma}'; numbers take a point"


def _guess(name: str, table: _Table, role: Role, survey: LabelSurvey) -> GuessedTask:
    """Guess the task of a label column, whose role and values are known."""
    if survey.lists or survey.separator:
        return _guess_sets(name, table, role, survey)
    if survey.classes and len(survey.labels) > MOST_LABELS:
        raise DataError(
            f"{table.files['train']}: column '{role.label}' holds more than {MOST_LABELS} different"
            " values, so it is no label; name the label's column 'label'"
        )
    return table.task(
        name,
        spelt(survey.kind, len(role.text)),
        role,
        labels=survey.in_order if survey.classes else (),
        range=(0.0, 1.0) if survey.classes else (survey.lowest, survey.highest),
        missing=tuple(survey.missing),
        reasons=[*role.reasons, _kind_reason(role.label, survey), *survey.reasons],
    )


def _guess_flags(name: str, table: _Table, columns: Sequence[str]) -> GuessedTask:
    """Guess the task of several columns that say of a label each whether a text has it."""
    role = table.role
    return table.task(
        name,
        spelt("multi-label", len(role.text)),
        role,
        label="labels",
        columns=tuple(columns),
        reasons=[
            role.reasons[0],
            *role.reasons[2:],
            f"multi-label, because {', '.join(map(repr, columns))} hold 0 or 1 each",
        ],
    )


def _guess_sets(name: str, table: _Table, role: Role, survey: LabelSurvey) -> GuessedTask:
    """Guess the task of a column of lists, tags or several labels of a text, or of joined ones."""
    kind, words = _list_kind(table, role.label), tag_columns(table.columns).get(role.label)
    role = role if words is None else replace(role, text=(words,))
    why = "labels" if words is None else f"a tag for each word of '{words}'"
    holds = f"names joined by '{survey.separator}'" if survey.separator else f"lists: {why}"
    return table.task(
        name,
        spelt(kind, len(role.text)),
        role,
        missing=tuple(survey.missing),
        options={"separator": survey.separator} if survey.separator else {},
        reasons=[
            *role.reasons,
            f"{kind}, because '{role.label}' holds {holds}",
            *survey.reasons,
        ],
    )


def _guess_candidates(name: str, table: _Table, found: CandidateTask) -> GuessedTask:
    """Guess the task of rows with choices, or with candidates and their grades."""
    role = found.role
    used = {*role.text, role.label, role.id}
    left = ", ".join(f"'{column.name}'" for column in table.columns if column.name not in used)
    reasons = [*role.reasons, *table.reasons, *[f"left {left}"] * bool(left)]
    return table.task(name, found.kind, role, options=found.options, reasons=reasons)


def _list_kind(table: _Table, label: str) -> str:
    return "token-classification" if label in tag_columns(table.columns) else "multi-label"


def _encoding(paths: Sequence[Path]) -> tuple[str | None, list[str]]:
    """Return the encoding to be named for a task's files, None for none, and why.

    Raises:
        DataError: it can't be told, or they are in different ones.
    """
    others: dict[str, Path] = {}
    for path in paths:
        if format_suffix(path) != ".parquet":
            name = guess_encoding(path)
            if name is None:
                raise DataError(
                    f"{path}: not UTF-8, nor can its encoding be told: convert it to UTF-8"
                )
            others.setdefault(name, path)
    named = {name: path for name, path in others.items() if name not in _UNNAMED}
    if len(named) > 1 or (named and "utf-8" in others):
        (one, first), (other, second) = list({**named, **others}.items())[:2]
        raise DataError(
            f"{second} seems to be in {other}, but {first} in {one}: convert them to UTF-8"
        )
    if not named:
        return None, []
    ((name, path),) = named.items()
    return name, [f"file_encoding '{name}', because {path.name} is not UTF-8: a guess to look at"]


def _kind_reason(column: str, survey: LabelSurvey) -> str:
    return f"{survey.kind}, because '{column}' {survey.kind_reason}"
