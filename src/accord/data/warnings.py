"""Warnings about a run's data before training: one line each, with its cure.

To add one, write a function from `Facts` to warnings and name it in `CHECKS`: `accord check` and
`accord train` both say it, the run's folder keeps it, and `--strict` makes it an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from accord.data.drawn import few_of_class_note
from accord.data.heldout_test import HeldOutTest
from accord.data.label_warnings import class_rows, label_warnings
from accord.data.loader import TaskData
from accord.data.overlap import Overlap, find_overlap
from accord.data.sources import shared_rows
from accord.data.store import TokenStore
from accord.data.template import Template
from accord.errors import UsageError
from accord.kinds import kind_of, labelled_kind
from accord.plural import count
from accord.tasks import Task

LEAST_DEV_ROWS = 20
"""Of fewer dev rows each is worth more than five points of accuracy."""
MOST_CUT = 0.01
"""Share of a split's rows that may be longer than the encoder reads, unsaid."""
MOST_UNKNOWN = 0.05
"""Share of a split's tokens that may be [UNK], unsaid."""


@dataclass(frozen=True)
class DataWarning:
    """One warning.

    Attributes:
        where: a file, or a key of the config.
        what: was seen there.
        cure: what to do about it.

    Example:
        >>> str(DataWarning("dev.csv", "has 3 rows", "more rows measure a model better"))
        'dev.csv: has 3 rows; more rows measure a model better'
    """

    where: str
    what: str
    cure: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.cure}"


@dataclass(frozen=True)
class Split:
    """One split of one task.

    Attributes:
        name: train, dev or test.
        path: of the file; empty where these are texts of other tasks.
        part: its rows; of a finished task's training split all, not only its memory's.
        framing: the special tokens around texts.
        share: set where dev is a share of the training file.
        heldout: of a test file, which of its rows a model is evaluated on.
    """

    name: str
    path: str
    part: TaskData
    framing: Template
    share: float | None = None
    heldout: HeldOutTest | None = None

    @property
    def task(self) -> Task:
        """Whose it is, resolved."""
        return self.part.task

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each sequence that the encoder reads, before it is cut: [rows, sequences]; 0
        behind rows that have fewer."""
        return self.part.uncut_lengths(self.framing)

    @property
    def labels(self) -> npt.NDArray[Any]:
        """Targets as the task's kind has them, [rows, ...]; of a test file there are none."""
        return self.part.labels


@dataclass(frozen=True)
class Facts:
    """What warnings are drawn from.

    Attributes:
        splits: of all tasks that are trained, those of a task next to each other.
        max_length: tokens that a sequence may have.
        positions: tokens that the encoder could read.
        unknown: the id of [UNK]; None where the vocabulary has no such token.
    """

    splits: Sequence[Split]
    max_length: int
    positions: int
    unknown: int | None

    def files(self) -> dict[str, list[Split]]:
        """Return, by task, the splits that are files or shares of one."""
        tasks = dict.fromkeys(split.task.name for split in self.splits if split.path)
        return {name: [split for split in self.splits if split.task.name == name] for name in tasks}

    def labelled(self, name: str) -> list[Split]:
        """Return the train, dev or test splits of the tasks with labels."""
        named = [split for split in self.splits if split.name == name]
        return [split for split in named if split.task.labelled]

    def by_source(self, name: str) -> list[Split]:
        """Return the train or dev splits of the tasks with labels, those that share their rows as
        one, named `a+b`, of all rows that any of them has."""
        splits = self.labelled(name)
        return [
            _joined([splits[i] for i in group])
            for group in shared_rows([split.part for split in splits])
        ]


def _joined(splits: Sequence[Split]) -> Split:
    """Return splits of one store as one."""
    first, *others = splits
    if not others:
        return first
    task = replace(first.task, name="+".join(split.task.name for split in splits))
    rows = np.unique(np.concatenate([split.part.rows for split in splits]))
    return replace(first, part=replace(first.part, task=task, rows=rows))


def data_warnings(facts: Facts) -> list[DataWarning]:
    """Return all warnings about a run's data."""
    return [warning for check in CHECKS for warning in check(facts)]


def refuse_all(warnings: Sequence[str], say: Callable[[str], object]) -> None:
    """Say all warnings, and let the first be an error.

    Raises:
        UsageError: if there is one.
    """
    if warnings:
        for line in warnings:
            say(f"warning: {line}")
        more = f" (1 of {len(warnings)} warnings)" if len(warnings) > 1 else ""
        raise UsageError(f"--strict: {warnings[0]}{more}")


def overlaps(facts: Facts) -> list[Overlap]:
    """Return the overlap of each task's dev rows with the training rows of each."""
    return [
        find_overlap(train.part, dev.part)
        for dev in facts.labelled("dev")
        for train in facts.labelled("train")
    ]


def source_overlaps(facts: Facts) -> list[Overlap]:
    """Return the overlap of each source's dev rows with the training rows of each: what tasks that
    share their rows have in common is there once."""
    return [
        find_overlap(train.part, dev.part)
        for dev in facts.by_source("dev")
        for train in facts.by_source("train")
    ]


def _files(facts: Facts) -> Iterator[DataWarning]:
    """Yield warnings about files as a whole: lines that are no rows, names that look like data."""
    notes = dict.fromkeys(note for split in facts.splits for note in split.part.store.notes)
    yield from (DataWarning(*note) for note in notes)  # once, whoever shares the file


def _texts_in_both(facts: Facts) -> Iterator[DataWarning]:
    """Yield where dev rows stand in training rows, of the same task or another."""
    named = (*facts.by_source("train"), *facts.by_source("dev"))
    splits = {(split.name, split.task.name): split for split in named}
    for overlap in source_overlaps(facts):
        dev, train = splits["dev", overlap.dev_task], splits["train", overlap.train_task]
        same_shape = _texts_of_a_row(train.task) == _texts_of_a_row(dev.task)
        rows = (overlap.examples if same_shape else overlap.texts).normalised
        if rows:
            within = dev.task.name == train.task.name
            whose = "its training rows" if within else f"the training rows of '{train.task.name}'"
            yield DataWarning(
                dev.path,
                f"{rows:,} of {overlap.dev_rows:,} dev rows of '{dev.task.name}' stand in {whose}"
                " too, case and spaces aside: figures of them are too good",
                "take them out of either",
            )


def _texts_of_a_row(task: Task) -> int | None:
    return None if kind_of(task).varying else task.texts


def _test_rows(facts: Facts) -> Iterator[DataWarning]:
    """Yield what is not used of labelled test rows, and which were trained on."""
    for test in facts.labelled("test"):
        heldout = test.heldout
        if heldout is None:
            continue
        of = f"of its {heldout.total:,} test rows stand in the"
        if heldout.reason:
            yield DataWarning(
                test.path,
                f"its labels are not used: {heldout.reason}",
                "dev is cross-fitted instead",
            )
        elif heldout.in_dev:
            what = f"{heldout.in_dev:,} {of} dev rows, which choose the model: left out"
            yield DataWarning(test.path, what, "take them out of either")
        if heldout.in_train:
            what = f"{heldout.in_train:,} {of} training rows: figures of them are too good"
            yield DataWarning(test.path, what, "take them out of either")


def _repeated_candidates(facts: Facts) -> Iterator[DataWarning]:
    """Yield where rows have a candidate twice: a model scores both alike."""
    for split in facts.splits:
        kind, store = kind_of(split.task), split.part.store
        if not kind.varying:
            continue
        hashes = np.sort(store.normalised_hashes[split.part.rows][:, 1:], axis=1)
        twice = ((hashes[:, 1:] == hashes[:, :-1]) & (hashes[:, 1:] > 0)).any(axis=1)
        if twice.any():
            assert isinstance(store, TokenStore)  # texts without labels are single ones
            first = store.where(split.part.rows[twice.argmax()])
            yield DataWarning(
                split.path,
                f"in {twice.sum():,} of {len(twice):,} {kind.row_called[1]} a {kind.candidate}"
                f" stands twice, case and spaces aside, the first in {first}: both score alike",
                "leave one of them out",
            )


def _unknown_words(facts: Facts) -> Iterator[DataWarning]:
    """Yield where many tokens stand for words that the vocabulary lacks."""
    if facts.unknown is None:
        return
    for name, splits in facts.files().items():
        shares = {split.name: _unknown_share(split, facts.unknown) for split in splits}
        if max(shares.values()) > MOST_UNKNOWN:
            yield DataWarning(
                f"tasks.{name}",
                f"[UNK] takes the place of words that the encoder doesn't know: {_each(shares)} of"
                " tokens",
                "take an encoder whose vocabulary is of the texts' language and case",
            )


def _unknown_share(split: Split, token: int) -> float:
    store, rows = split.part.store, split.part.rows
    return float(store.count(token)[rows].sum() / max(store.lengths[rows].sum(), 1))


def _cut(facts: Facts) -> Iterator[DataWarning]:
    """Yield where many texts are longer than what is read of them."""
    longer = (
        f"encoder.max_length may be up to {facts.positions}"
        if facts.max_length < facts.positions
        else "the encoder reads no more: let what matters stand first"
    )
    for name, splits in facts.files().items():
        lengths = {split.name: split.lengths for split in splits}
        shares = {key: float((length > facts.max_length).any(axis=1).mean())
                  for key, length in lengths.items()}  # fmt: skip
        if max(shares.values()) > MOST_CUT:
            longest = max(int(length.max()) for length in lengths.values())
            yield DataWarning(
                f"tasks.{name}",
                f"{_each(shares)} of rows are cut to {facts.max_length} tokens; the longest has"
                f" {longest:,}",
                longer,
            )


def _unseen(facts: Facts) -> Iterator[DataWarning]:
    """Yield how many words have no token that is read, where words are labelled."""
    for name, splits in facts.files().items():
        if kind_of(splits[0].task).units == "words":
            counts = {split.name: _unseen_words(split, facts.max_length) for split in splits}
            if any(counts.values()):
                shown = ", ".join(f"{count:,} ({split})" for split, count in counts.items())
                yield DataWarning(
                    f"tasks.{name}",
                    f"{shown} words are cut off, or the tokenizer makes nothing of them",
                    f"they count as '{unseen_answer(splits[0].task)}'",
                )


def _unseen_words(split: Split, max_length: int) -> int:
    """Return how many of a split's words have no token within so many."""
    store, rows = split.part.store, split.part.rows
    assert isinstance(store, TokenStore)  # words have labels, and these a file
    room = max(0, max_length - split.framing.special_tokens(1))
    unseen = 0
    for row in rows.tolist():
        pieces = store.word_pieces(row, 0)
        unseen += int(((pieces == 0) | (pieces.cumsum() - pieces >= room)).sum())
    return unseen


def unseen_answer(task: Task) -> str:
    """Return the answer for a word that a model doesn't see."""
    return labelled_kind(task).unseen(task)


def unseen_note(task: Task, words: int) -> str:
    """Say how many words a model answers without having seen them."""
    return (
        f"{count(words, 'word')} cut off, or without a token of the tokenizer's, answered"
        f" '{unseen_answer(task)}'"
    )


def _too_many_classes(facts: Facts) -> Iterator[DataWarning]:
    for split in facts.labelled("train"):
        if not kind_of(split.task).discrete:
            continue
        classes, rows = len(split.task.labels), len(split.part.rows)
        if 2 * classes > rows > 0:
            yield DataWarning(
                f"tasks.{split.task.name}.label",
                f"{classes:,} classes in {rows:,} training rows of {split.path} leave too few of"
                " each to learn",
                'name another column, or take kind = "regression" for numbers',
            )


def _few_dev_rows(facts: Facts) -> Iterator[DataWarning]:
    for split in facts.labelled("dev"):
        rows = len(split.part.rows)
        if rows < LEAST_DEV_ROWS:
            yield DataWarning(
                split.path,
                f"{rows} dev row{'s' * (rows != 1)} of '{split.task.name}' can't tell a good model"
                " from a bad one",
                "a larger training.dev_share, or a dev file, gives more"
                if split.share is not None
                else "more rows measure better",
            )


def _few_of_a_class(facts: Facts) -> Iterator[DataWarning]:
    """Yield which classes a drawn dev split holds hardly a row of."""
    for name, (train, dev, *_) in facts.files().items():
        if dev.share is not None and (what := few_of_class_note(train.part, dev.part)):
            yield DataWarning(f"tasks.{name}", what, "more of them, or a dev file, would do")


def _classes(facts: Facts) -> Iterator[DataWarning]:
    """Yield which classes are spelt twice, or stand in no training row."""
    for name, (train, dev, *_) in facts.files().items():
        if train.task.labels:
            rows = [class_rows(split.part) for split in (train, dev)]
            for where, what, cure in label_warnings(train.task.labels, *rows):
                place = f"tasks.{name}.labels" if where == "labels" else where
                yield DataWarning(place, what, cure)


def _each(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{share:.1%} ({name})".replace("%", " %") for name, share in shares.items())


CHECKS: tuple[Callable[[Facts], Iterator[DataWarning]], ...] = (
    _files,
    _texts_in_both,
    _test_rows,
    _few_dev_rows,
    _few_of_a_class,
    _classes,
    _too_many_classes,
    _repeated_candidates,
    _unknown_words,
    _cut,
    _unseen,
)
