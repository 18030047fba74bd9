"""Every split of every task: tokenised once, cached by content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from accord.data.drawn import draw_dev, without_dev_texts
from accord.data.examples import unlabelled_note
from accord.data.files import DataFiles, files_of
from accord.data.heldout_test import HeldOutTest, heldout_test, read_test_labels
from accord.data.loader import Assembler, TaskData
from accord.data.plan import DataPlan, TaskPlan
from accord.data.rehearsal import memory_rows
from accord.data.resolving import resolve_task
from accord.data.store import TokenStore, open_store, open_stores
from accord.data.texts import TextSource, TextStore
from accord.data.tokenizing import load_tokenizer, special_ids
from accord.data.warnings import Facts, Split
from accord.encoders.pretrained import read_config
from accord.errors import ConfigError, EncoderError
from accord.kinds import kind_of, labelled_kind
from accord.plural import count
from accord.tasks import Task

Say = Callable[[str], None]


@dataclass(frozen=True)
class Data:
    """The splits of every task, in the config's order.

    Attributes:
        tasks: with and without labels.
        train: without the rows that hold a text that another task's dev drew; a finished task's
            rows are those that its memory keeps.
        dev: of each.
        test: of those that have one.
        assembler: makes sequences of their tokens.
        facts: on all splits, for reports and warnings.
        full_train: each finished task's whole training split, by name.
        heldout_test: the labelled test rows of those tasks whose test files have any.
        left_out: how many rows of each are not in `train` for that text.
    """

    tasks: tuple[Task, ...]
    train: list[TaskData]
    dev: list[TaskData]
    test: list[TaskData]
    assembler: Assembler
    facts: Facts
    full_train: Mapping[str, TaskData] = field(default_factory=dict)
    heldout_test: Mapping[str, HeldOutTest] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)

    def labelled(self, split: list[TaskData]) -> list[TaskData]:
        """Return the parts of a split whose tasks have labels."""
        return [data for data in split if data.task.labelled]

    def contents(self) -> dict[str, str]:
        """Return what distinguishes each split from others: a hash of its content and its rows.

        Rows that are left out count: that they are follows from the contents of other tasks.
        """
        splits = {"train": self.train, "dev": self.dev, "test": self.test}
        rows = {
            f"{part.task.name}.{split}": part.content
            for split, parts in splits.items()
            for part in parts
        }
        for split in self.train:
            whole = len(split) + self.left_out.get(split.task.name, 0)
            rows[f"{split.task.name}.train"] = f"{split.store.fingerprint}:{whole}"
        labels = {
            f"{name}.test labels": hashlib.sha256(
                split.rows.astype("<i8").tobytes() + split.labels.astype("<f8").tobytes()
            ).hexdigest()
            for name, split in self.heldout_test.items()
        }
        return rows | labels


def read_data(plan: DataPlan, encoder_folder: Path, say: Say) -> Data:
    """Read every file of every task.

    Args:
        plan: names the files.
        encoder_folder: whose tokenizer is used.
        say: told what was skipped or decided.

    Raises:
        DataError: naming the file, line and reason.
    """
    tokenizer = load_tokenizer(encoder_folder)
    assembler = build_assembler(tokenizer, encoder_folder, plan.max_length)
    tasks = tuple(resolve_task(name, section) for name, section in plan.tasks.items())
    _check_encoder(encoder_folder, tokenizer, tasks)
    resolved = {task.name: task for task in tasks}
    splits: dict[str, list[Split]] = {}
    stores: dict[str, SharedStores] = {}
    for names in plan.shared:
        sections = [plan.tasks[name] for name in names]
        shared = SharedStores(sections, [resolved[name] for name in names], tokenizer)
        stores |= dict.fromkeys(names, shared)
    for name, section in (*plan.labelled.items(), *plan.texts.items()):
        task = resolved.get(name) or resolve_task(name, section)
        files = TaskFiles(task, section, tokenizer, say, stores=stores.get(name))
        splits[name] = list(files.splits(plan.dev_share))
    for task in tasks:
        if not task.labelled:
            splits[task.name] = list(_texts(task, plan, tokenizer, say, splits))
    for line in _drawn_notes(splits, plan):
        say(line)
    left_out = {}
    parts = {name: (train.part, dev.part) for name, (train, dev, *_) in splits.items()}
    plans = {**plan.texts, **plan.tasks}
    for name, kept in without_dev_texts(parts, plans).items():
        before = splits[name][0]
        part = replace(before.part, rows=before.part.rows[kept.rows])
        splits[name][0] = replace(before, part=part)
        if name in plan.tasks and name not in plan.finished:
            left_out[name] = kept.left_out
            if kept.tasks:
                say(f"{name}: {kept.note}")
    for name in plan.labelled:
        splits[name] = _settled(splits[name], plan.tasks[name])
    facts = Facts(
        [split for name in plan.tasks for split in splits[name]],
        assembler.max_length, read_config(encoder_folder).max_position_embeddings,
        tokenizer.token_to_id("[UNK]"),
    )  # fmt: skip
    train, dev, test = (
        [split.part for split in facts.splits if split.name == name]
        for name in ("train", "dev", "test")
    )
    full_train = {split.task.name: split for split in train if split.task.name in plan.finished}
    remembered = [_remembered(split, plan) for split in train]
    heldout = {
        split.task.name: split.heldout for split in facts.splits
        if split.heldout is not None and len(split.heldout.rows)
    }  # fmt: skip
    tasks = tuple(split.task for split in train)
    return Data(tasks, remembered, dev, test, assembler, facts, full_train, heldout, left_out)


def _drawn_notes(splits: Mapping[str, Sequence[Split]], plan: DataPlan) -> Iterator[str]:
    """Yield which share of a training file serves as dev."""
    for name in plan.tasks:
        train, dev, *_ = splits[name]
        if dev.share is not None and dev.path and name not in plan.finished:
            rows = len(dev.part.rows)
            yield (
                f"{name}: no dev file; {rows} of {rows + len(train.part.rows)} rows of {dev.path}"
                " serve as one and are not trained on"
            )


def _settled(splits: Sequence[Split], plan: TaskPlan) -> list[Split]:
    """Return a task's splits with what its training rows settle of it."""
    train, *_ = splits
    task = labelled_kind(train.task).settled(train.task, plan, train.labels)
    return [replace(split, part=replace(split.part, task=task)) for split in splits]


def _remembered(split: TaskData, plan: DataPlan) -> TaskData:
    """Return a finished task's training rows that its memory keeps; of any other task all."""
    memory = plan.memory
    if split.task.name not in memory.finished:
        return split
    if memory.method is None:
        return replace(split, rows=split.rows[:0])
    kind = labelled_kind(split.task)
    strata = kind.strata(split.labels)
    alike = np.zeros(len(split)) if strata is None else strata
    kept = memory_rows(
        alike, memory.size, memory.choice, classes=kind.discrete,
        key=(plan.seed, split.task.name),
    )  # fmt: skip
    return replace(split, rows=split.rows[kept])


def _texts(
    task: Task,
    plan: DataPlan,
    tokenizer: Tokenizer,
    say: Say,
    read: Mapping[str, Sequence[Split]],
) -> Iterator[Split]:
    """Yield the training and dev texts of a task without labels, one row per text."""
    names = plan.texts_from[task.name]
    files = TaskFiles(task, plan.tasks[task.name], tokenizer, say, labelled=False)
    sources = {name: read[name] for name in names} or {"": list(files.splits(plan.dev_share))}
    for split in ("train", "dev"):
        parts = {
            name: part for name, some in sources.items() for part in some if part.name == split
        }
        first = next(iter(parts.values()))
        texts = text_rows(task, {name: part.part for name, part in parts.items()})
        path = "" if names else first.path
        yield Split(split, path, texts, first.framing, first.share)


def text_rows(task: Task, parts: Mapping[str, TaskData]) -> TaskData:
    """Return all texts of some rows as the rows of a task without labels.

    Args:
        task: without labels.
        parts: by the names of the tasks that they are of; "" is a file of the task's own.

    Raises:
        DataError: if there is no text.
    """
    sources = []
    for name, part in parts.items():
        assert isinstance(part.store, TokenStore)  # what a file is read into
        sources.append(TextSource(name, part.store, part.rows))
    store = TextStore(sources, task.name)
    return TaskData(task, store, np.arange(len(store)))


def _check_encoder(folder: Path, tokenizer: Tokenizer, tasks: Sequence[Task]) -> None:
    """Check that the encoder and its vocabulary have what the tasks need."""
    config = read_config(folder)
    joint = [task.name for task in tasks if task.joins_texts]
    if joint and config.type_vocab_size < 2:
        raise EncoderError(
            f"{folder}: has one token type, but task '{joint[0]}' joins pairs, which takes two;"
            ' encoding = "separate" takes one'
        )
    masked = [task.name for task in tasks if kind_of(task).hides_words]
    if masked and special_ids(tokenizer).mask is None:
        raise EncoderError(
            f"{folder}: the tokenizer's vocabulary has no [MASK], which task '{masked[0]}' needs"
        )


def build_assembler(tokenizer: Tokenizer, encoder_folder: Path, length: int | None) -> Assembler:
    """Return what makes sequences, of at most `length` tokens or all that the encoder holds.

    Raises:
        ConfigError: if the encoder can't hold that many.
    """
    limit = read_config(encoder_folder).max_position_embeddings
    if length is not None and length > limit:
        raise ConfigError(f"encoder.max_length: {length} is more than the encoder's {limit}")
    return Assembler(special_ids(tokenizer), length or limit, tokenizer.get_vocab_size())


@dataclass
class SharedStores:
    """The stores of tasks that label the same rows, one file for all of them.

    Attributes:
        plans: of the tasks.
        tasks: resolved.
        tokenizer: of the encoder.
    """

    plans: Sequence[TaskPlan]
    tasks: Sequence[Task]
    tokenizer: Tokenizer
    _opened: dict[tuple[object, bool], list[TokenStore]] = field(default_factory=dict)

    def open(self, files: DataFiles, task: Task, *, labelled: bool) -> TokenStore:
        """Return a split's store as one of the tasks has it.

        Raises:
            DataError: as `open_stores`.
        """
        key = (files.paths, labelled)
        if key not in self._opened:
            self._opened[key] = open_stores(
                files, self.plans, self.tasks, self.tokenizer, labelled=labelled
            )
        return self._opened[key][self.tasks.index(task)]


@dataclass
class TaskFiles:
    """One task's files.

    Attributes:
        task: resolved.
        plan: names the files and columns.
        tokenizer: of the encoder.
        say: told what was skipped.
        labelled: whether the training and dev files are.
        stores: of the tasks that label the same rows; None where there are no others.
    """

    task: Task
    plan: TaskPlan
    tokenizer: Tokenizer
    say: Say
    labelled: bool = True
    stores: SharedStores | None = None

    def splits(self, dev_share: float) -> Iterator[Split]:
        """Yield the splits: train, dev, which may be a share of train, and test if there is any.

        Raises:
            DataError: a file, a column, or under `on_bad_row = "stop"` a row can't be used.
        """
        train, dev = self._train_and_dev(dev_share)
        yield from (train, dev)
        if self.plan.labelled and self.plan.test is not None:
            test = self._file("test", self.plan.test, labelled=False)
            labels = read_test_labels(files_of(self.plan, self.plan.test), self.plan, self.task)
            heldout = heldout_test(labels, test.part, dev.part, train.part)
            if heldout.unlabelled:
                called = kind_of(self.task).row_called
                left_out = (test.path, heldout.unlabelled, labels.left_out, called)
                self.say(f"{self.task.name}: {unlabelled_note(*left_out)}")
            yield replace(test, heldout=heldout)

    def dev(self, dev_share: float) -> TaskData:
        """The dev rows: a file of their own, or a share of the training file."""
        if self.plan.dev is not None:
            return self._file("dev", self.plan.dev, labelled=self.labelled).part
        return self._train_and_dev(dev_share)[1].part

    def _train_and_dev(self, dev_share: float) -> tuple[Split, Split]:
        """The training and the dev rows: a file each, or two parts of one."""
        train = self._file("train", self._training_file(), labelled=self.labelled)
        if not self.plan.draws_dev:
            assert self.plan.dev is not None
            return train, self._file("dev", self.plan.dev, labelled=self.labelled)
        trained, drawn = draw_dev(train.part, self.plan, dev_share)
        dev = replace(train, name="dev", part=drawn, share=dev_share)
        return replace(train, part=trained), dev

    def _file(self, name: str, value: tuple[str, ...], *, labelled: bool) -> Split:
        files = files_of(self.plan, value)
        store = self._open(files, labelled=labelled)
        rows = store.labelled[: self.plan.limit]
        framing = special_ids(self.tokenizer).framing
        return Split(name, str(files), TaskData(self.task, store, rows), framing)

    def _training_file(self) -> tuple[str, ...]:
        if self.plan.train is None:
            raise ConfigError(f"'tasks.{self.task.name}.train' is missing")
        return self.plan.train

    def _open(self, files: DataFiles, *, labelled: bool) -> TokenStore:
        name = self.task.name
        if self.stores is None:
            store = open_store(files, self.plan, self.task, self.tokenizer, labelled=labelled)
        else:
            store = self.stores.open(files, self.task, labelled=labelled)
        if store.skipped:
            rows, first = count(len(store.skipped), "row"), store.skipped[0]
            self.say(f"{name}: {rows} of {files} skipped; the first: {first}")
        called = kind_of(self.task).row_called
        for why, rows_left_out in store.left_out.items():
            self.say(f"{name}: {unlabelled_note(str(files), rows_left_out, why, called)}")
        return store
